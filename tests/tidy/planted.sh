#!/usr/bin/env bash
# usage: planted.sh ROOT COMPILER
# Tests of the checkers: what they exist for, planted in a copy of the tree, must be found, and what
# is allowed must not.
set -euo pipefail
checkers=$(cd "$(dirname "$0")" && pwd)
cd "$1"
compiler=$2
copy=$(mktemp -d)
trap 'rm -rf "$copy"' EXIT
cp -r README.md scripts docs runtime snapshot verify shim examples bench tests "$copy"
[[ ! -d mixer ]] || cp -r mixer "$copy"
cd "$copy"
failures=0

complain() {
  printf 'FAIL: %s\n' "$*"
  failures=$((failures + 1))
}

# check CHECKER FILE TEXT: sets `said` and `status`, with the text planted at the end of the file.
check() {
  local before
  before=$(mktemp)
  mkdir -p "$(dirname "$2")"
  [[ ! -e $2 ]] || cp "$2" "$before"
  printf '%b' "$3" >>"$2"
  status=0
  said=$("$checkers/$1.sh" . "$compiler" 2>&1) || status=$?
  if [[ -s $before ]]; then mv "$before" "$2"; else rm "$2" "$before"; fi
}

# expect_found CHECKER FILE TEXT MESSAGE [NAMED]: the checker fails and says so, naming the file (or
# the other one that the text made wrong).
expect_found() {
  local said status named=${5-$2}
  check "$1" "$2" "$3"
  ((status != 0)) || complain "$1 accepted $2: $3"
  grep -F "$named" <<<"$said" | grep -qF -e "$4" || complain "$1 did not say '$4' of $named, but: $said"
}

# expect_accepted CHECKER FILE TEXT [NAMED]: nothing is said of the file, or of the other name.
expect_accepted() {
  local said status named=${4-$2}
  check "$1" "$2" "$3"
  ! grep -F -e "$named" <<<"$said" || complain "$1 does not accept $2: $3"
}

include() { printf '#include "%s"\\n' "$1"; }

upwards='may not include'
expect_found includes runtime/core/planted.h "$(include runtime/sched/lock.h)" "$upwards"
expect_found includes runtime/core/planted.cc "$(include runtime/wire.h)" "$upwards"
expect_found includes runtime/sched/planted.cc "$(include runtime/sync/sync.h)" "$upwards"
expect_found includes runtime/sync/planted.cc "$(include runtime/kernel/kernel.h)" "$upwards"
expect_found includes runtime/kernel/planted.cc "$(include runtime/sync/sync.h)" "$upwards"
expect_found includes runtime/kernel/planted.inc "$(include snapshot/snapshot.h)" "$upwards"
expect_found includes snapshot/planted.cc "$(include verify/verify.h)" "$upwards"
expect_found includes verify/planted.cc "  # include \"shim/mode.h\"\n" "$upwards"
expect_found includes mixer/planted.cc "$(include shim/mode.h)" "$upwards"
expect_found includes shim/planted.cc "$(include runtime/host/deck.h)" "$upwards"
expect_found includes shim/planted.cc "$(include tests/support/ports.h)" "$upwards"
expect_found includes runtime/host/planted.cc "$(include snapshot/snapshot.h)" "$upwards"
expect_found includes runtime/host/planted.cc "$(include runtime/core/layout.h)" "$upwards"
expect_found includes examples/kvstore/planted.cc "$(include runtime/wire.h)" "$upwards"
expect_found includes bench/load/planted.cc "$(include runtime/core/sys.h)" "$upwards"
expect_found includes tests/e2e/planted.cc "$(include runtime/core/sys.h)" "$upwards"
expect_found includes runtime/wire.h "$(include runtime/core/layout.h)" "$upwards"
expect_found includes runtime/newcomer/planted.cc "$(include runtime/wire.h)" "no rule"
expect_found includes shim/planted.cc "$(include ../runtime/wire.h)" "start at the root"
expect_found includes shim/planted.cc "$(include mode.h)" "start at the root"
for header in iostream string vector mutex memory functional cstdio cstdlib stdlib.h; do
  expect_found includes verify/planted.cc "#include <$header>\n" "injected code may not include"
done
expect_accepted includes shim/planted.cc "$(include verify/verify.h)$(include runtime/wire.h)"
expect_accepted includes runtime/host/planted.cc "#include <string>\n$(include runtime/wire.h)"
expect_accepted includes verify/planted.cc "#include <atomic>\n#include <sys/mman.h>\n"
expect_accepted includes tests/core/planted.cc "$(include runtime/core/heap.h)"

lines() { seq "$1" | sed 's|.*|//\\n|' | tr -d '\n'; }
expect_found files snapshot/planted.cc "$(lines 501)" "501 lines"
expect_found files tests/tidy/planted.sh "$(lines 500)" "more than 500"
expect_accepted files snapshot/planted.cc "$(lines 500)"
expect_found files docs/planted.md 'see /ho''me/somebody/evenkeel\n' "one machine"
expect_found files bench/planted 'cd /wo''rk/main\n' "one machine"
expect_accepted files docs/planted.md 'see /usr/share/doc/memcached and /tmp/x/y\n'

expect_found readme runtime/kernel/table.inc 'EVENKEEL_SYSCALL(planted, kHandled)\n' "tables of calls" README.md
expect_found readme shim/interposed.inc 'EVENKEEL_CALL(int, planted, (), (), (SYS_planted))\n' "tables of calls" README.md
expect_found readme runtime/host/options.cc '{"planted", "N", "0", "", kForRun, false, set_planted},\n' "--planted" README.md
expect_accepted readme runtime/host/options.cc '{"planted", "N", "0", "", kForRun, true, set_planted},\n' --planted
expect_found readme README.md "$(lines 200)" "not 150 to 300"
expect_found readme verify/README.md "$(lines 61)" "more than 60"
mv verify/README.md kept
expect_found readme verify/planted.cc '//\n' "has no README" verify
mv kept verify/README.md

expect_found messages shim/planted.cc 'f() { EVENKEEL_DIE("planted message", "key", 1); }\n' "planted message"
expect_found messages runtime/host/planted.cc 'f() { say("a planted fact: {}",\n  x); }\n' "a planted fact:"
expect_found messages runtime/kernel/planted.cc '  count_unhandled("planted; use");\n' "planted; use"
expect_accepted messages runtime/host/planted.cc '// say("a planted fact");\nint x = say("failed: {}");\n'

# The rest of the headers would be compiled again for each of these: keep a tree of one.
rm -r runtime snapshot verify shim examples bench tests README.md
expect_found headers snapshot/planted.h '#pragma once\ninline uint64_t x() { return 0; }\n' "by itself"
expect_found headers runtime/host/planted.h '#pragma once\nint f(int unused) { return 0; }\n' "by itself"
expect_accepted headers snapshot/planted.h '#pragma once\n#include <cstdint>\ninline uint64_t x() { return 0; }\n'

((failures == 0)) && echo "the checkers find what they must"
