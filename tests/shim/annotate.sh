#!/usr/bin/env bash
# usage: annotate.sh ROOT CC CXX
# The snippets of the tutorial, and the header, compile without a warning as C99 and as C++, obeyed and
# disabled, in a program that is linked with nothing else and is no position-independent executable.
set -euo pipefail
root=$1 cc=$2 cxx=$3
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT

awk -v to="$scratch" '
  /^```c$/ { file = to "/snippet" ++n ".c"; next }
  /^```$/ { file = ""; next }
  file { print >file }' "$root/docs/annotations.md"
[[ -f $scratch/snippet1.c ]] || { echo "no snippet found" >&2; exit 1; }

cat >"$scratch/all.c" <<'END'
#include <evenkeel/annotate.h>
int main(void) {
  static long counter;
  EVENKEEL_RELAXED_BEGIN(&counter, sizeof counter, "counter");
  EVENKEEL_NAME(&counter, sizeof counter, "counter");
  EVENKEEL_REQUEST_BEGIN(0);
  EVENKEEL_READS("table", "key", 3);
  EVENKEEL_WRITES("table", &counter, sizeof counter);
  EVENKEEL_ADDS("statistics", "", 0);
  EVENKEEL_READY();
  EVENKEEL_REAL_WAIT(1000);
  ++counter;
  EVENKEEL_REQUEST_END();
  EVENKEEL_UNNAME(&counter);
  EVENKEEL_RELAXED_END(&counter, sizeof counter);
  return counter == 1 ? 0 : 1;
}
END
cat >"$scratch/scopes.cc" <<'END'
#include <evenkeel/annotate.h>
int main() {
  static long counter;
  EVENKEEL_REQUEST_SCOPE(0);
  EVENKEEL_RELAXED_SCOPE(&counter, sizeof counter, "counter");
  return static_cast<int>(counter);
}
END
strict=(-Wall -Wextra -Wpedantic -Wconversion -Werror -I "$root/shim/include")
for disable in -UEVENKEEL_DISABLE -DEVENKEEL_DISABLE; do
  for source in "$scratch"/snippet*.c; do
    "$cc" -std=c99 "${strict[@]}" "$disable" -c "$source" -o "$scratch/object.o"
    "$cxx" -std=c++17 -x c++ "${strict[@]}" "$disable" -c "$source" -o "$scratch/object.o"
  done
  "$cc" -std=c99 -no-pie "${strict[@]}" -D_POSIX_C_SOURCE=200809L "$disable" "$scratch/all.c" -o "$scratch/all"
  "$scratch/all"
  "$cxx" -std=c++17 "${strict[@]}" "$disable" "$scratch/scopes.cc" -o "$scratch/scopes"
  "$scratch/scopes"
done
