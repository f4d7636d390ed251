# What the measurements share: servers, loads, numbers. Sourced, not run.
set -euo pipefail

bench_root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
bin_dir=${EVENKEEL_BIN_DIR:-$bench_root/build/release/bin}
state_dir=$(mktemp -d)
server_pids=()

fail() { printf '%s: %s\n' "${0##*/}" "$*" >&2; exit 1; }

for program in evenkeel evenkeel-load kvstore; do
  [[ -x $bin_dir/$program ]] || fail "$bin_dir/$program is missing: build first, or set EVENKEEL_BIN_DIR"
done
memcached=$(PATH=$PATH:/usr/sbin command -v memcached) || fail "memcached is missing: apt install memcached"

# Ends what was started here, and nothing else.
clean_up() {
  local pid
  for pid in "${server_pids[@]}"; do kill -TERM "$pid" 2>/dev/null || true; done
  for pid in "${server_pids[@]}"; do wait "$pid" 2>/dev/null || true; done
  rm -rf "$state_dir"
}
trap clean_up EXIT
trap 'exit 130' INT TERM

listens() { (exec 3<>"/dev/tcp/127.0.0.1/$1") 2>/dev/null; }

free_port() {
  local port
  while port=$((15000 + RANDOM % 15000)); listens "$port"; do :; done
  echo "$port"
}

# wait_for_port PORT PID LOG
wait_for_port() {
  local tries
  for ((tries = 0; tries < 1200; ++tries)); do
    listens "$1" && return
    kill -0 "$2" 2>/dev/null || { cat "$3" >&2; fail "the server ended"; }
    sleep 0.05
  done
  fail "nobody listens on port $1"
}

# start_native PORT COMMAND…: sets started_pid.
start_native() {
  local port=$1 log=$state_dir/native.log
  shift
  "$@" >"$log" 2>&1 &
  started_pid=$!
  server_pids+=("$started_pid")
  wait_for_port "$port" "$started_pid" "$log"
}

# start_evenkeel PORT NAME OPTIONS… -- COMMAND…: sets started_pid.
start_evenkeel() {
  local port=$1 name=$2 log=$state_dir/$2.log
  shift 2
  "$bin_dir/evenkeel" run --state-dir "$state_dir" --name "$name" "$@" >"$log" 2>&1 &
  started_pid=$!
  server_pids+=("$started_pid")
  wait_for_port "$port" "$started_pid" "$log"
}

stop() {
  kill -TERM "$1" 2>/dev/null || true
  wait "$1" 2>/dev/null || true
  local pid left=()
  for pid in "${server_pids[@]}"; do [[ $pid == "$1" ]] || left+=("$pid"); done
  server_pids=("${left[@]}")
}

memcached_command() {  # PORT EXTRA…
  local port=$1
  shift
  local user=()
  [[ $EUID -ne 0 ]] || user=(-u root)
  printf '%s\n' "$memcached" -l 127.0.0.1 -p "$port" -U 0 -t 4 "${user[@]}" "$@"
}

status_json() { "$bin_dir/evenkeel" status --state-dir "$state_dir" --name "$1" --json; }

# load PORT ARGUMENTS…: the client's JSON. A wrong answer is not this script's failure: it is printed.
load() {
  local port=$1
  shift
  "$bin_dir/evenkeel-load" --port "$port" "$@" || true
}

# field NAME: that field of the load client's JSON on stdin.
field() { sed -n "s/.*\"$1\": *\([^,}]*\).*/\1/p"; }

# Numbers of a JSON document on stdin as lines "path value"; elements of arrays count from 0.
flatten_json() {
  awk '
    function path(   i, text) {
      for (i = 1; i <= depth; ++i) text = text (i > 1 ? "." : "") name[i]
      return text
    }
    { document = document $0 }
    END {
      while (length(document) > 0) {
        if (match(document, /^[ \t:]+/)) {}
        else if (match(document, /^,/)) { if (is_array[depth]) ++name[depth] }
        else if (match(document, /^"([^"\\]|\\.)*"/)) {
          if (substr(document, RLENGTH + 1) ~ /^[ \t]*:/) name[depth] = substr(document, 2, RLENGTH - 2)
        }
        else if (match(document, /^[-+0-9.eE]+/)) { print path(), substr(document, 1, RLENGTH) }
        else if (match(document, /^[{\[]/)) {
          is_array[++depth] = substr(document, 1, 1) == "["
          name[depth] = is_array[depth] ? 0 : ""
        }
        else if (match(document, /^[}\]]/)) { --depth }
        else if (!match(document, /^[a-z]+/)) { RLENGTH = 1 }
        document = substr(document, RLENGTH + 1)
      }
    }'
}

top_number() { flatten_json | awk -v name="$1" '$1 == name { print $2 }'; }

median() {
  sort -g | awk '{ v[NR] = $1 }
    END { if (NR % 2) print v[(NR + 1) / 2]; else print (v[NR / 2] + v[NR / 2 + 1]) / 2 }'
}

ratio() { awk -v a="$1" -v b="$2" 'BEGIN { if (b > 0) printf "%.3f\n", a / b; else print "nan" }'; }

# The sum over a process and its descendants of a smaps_rollup line, in KiB.
tree_kib() {  # PID LINE
  local pids=("$1") pid i=0
  while ((i < ${#pids[@]})); do
    for pid in $(cat /proc/"${pids[i]}"/task/*/children 2>/dev/null); do pids+=("$pid"); done
    i=$((i + 1))
  done
  for pid in "${pids[@]}"; do cat "/proc/$pid/smaps_rollup"; done | awk -v line="$2:" '$1 == line { s += $2 } END { print s + 0 }'
}
