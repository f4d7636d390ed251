#!/usr/bin/env bash
# usage: files.sh ROOT
# No file of code is longer than 500 lines, and nothing names a place of one person's machine.
# shellcheck source=tests/tidy/sources.sh
source "$(dirname "$0")/sources.sh"
exceptions=$(cd "$(dirname "$0")" && pwd)/long_files.txt
cd "$1"

readonly max_lines=500

# Lines of long_files.txt: path, most lines, reason.
check_length() {
  awk -v max="$max_lines" -v exceptions="$exceptions" '
    BEGIN {
      while ((getline line < exceptions) > 0) {
        if (line ~ /^#|^$/) continue
        split(line, words, " ")
        limit[words[1]] = words[2]
      }
    }
    { lines[FILENAME] = FNR }
    END {
      for (file in lines) {
        allowed = file in limit ? limit[file] : max
        if (lines[file] > allowed) print file ": " lines[file] " lines, more than " allowed
        if (file in limit && lines[file] <= max) print file ": no longer needs its exception"
      }
      for (file in limit) if (!(file in lines)) print file ": has an exception but does not exist"
    }' "$@"
}

# Homes and checkouts. /tmp, /proc, /usr and the like are everybody's.
check_paths() { grep -nHE '(^|[^A-Za-z0-9._-])/(home|Users|root|work)/[A-Za-z0-9._-]+' "$@" || true; }

mapfile -t code < <(code_files; find_files tests scripts -- '*.sh' | grep . || true)
mapfile -t all < <(find_files . -- '*' | sed 's|^\./||' | grep -vE '^(\.git|\.cache|build)/')
{
  check_length "${code[@]}"
  check_paths "${all[@]}" | sed 's/$/   <- path of one machine/'
} | verdict
