#!/usr/bin/env bash
# usage: exports_planted.sh ROOT COMPILER LIBRARY OBJECT…
# Test of exports.sh: each kind of violation, planted beside the real objects, must be found.
set -euo pipefail
checker=$(cd "$(dirname "$0")" && pwd)/exports.sh
root=$1 compiler=$2 library=$3
shift 3
objects=("$@")
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
failures=0

# expect_found MESSAGE ROOT LIBRARY OBJECT…
expect_found() {
  local message=$1 said status=0
  shift
  said=$("$checker" "$@" 2>&1) || status=$?
  if ((status == 0)) || ! grep -qF "$message" <<<"$said"; then
    printf 'FAIL: wanted "%s", got status %d: %s\n' "$message" "$status" "$said"
    failures=$((failures + 1))
  fi
}

compile() {  # NAME SOURCE: sets `object`
  object=$scratch/$1.o
  printf '%s\n' "$2" | "$compiler" -x c++ -std=c++20 -O2 -fPIC -fno-stack-protector -c -o "$object" -
}

link() {  # OBJECT: sets `planted`, the library with this object
  planted=$scratch/libplanted.so
  "$compiler" -shared -nodefaultlibs -o "$planted" "${objects[@]}" "$1" -lc -lgcc
}

# In the objects.
compile constructor 'int f(); int value = f();'
expect_found "static constructor" "$root" "$library" "${objects[@]}" "$object"
compile destructor '__attribute__((destructor)) void bye() {}'
expect_found "static constructor or destructor" "$root" "$library" "${objects[@]}" "$object"
compile tls 'thread_local int depth; int* at() { return &depth; }'
expect_found "thread-local storage" "$root" "$library" "${objects[@]}" "$object"
compile guard 'int word() { int w; asm("mov %%fs:0x28, %0" : "=r"(w)); return w; }'
expect_found "uses %fs" "$root" "$library" "${objects[@]}" "$object"
# The last two we define ourselves, and so they would not show in the library.
for import in printf _Znwm __tls_get_addr malloc pthread_mutex_lock; do
  compile import "extern \"C\" void planted() __asm__(\"$import\"); void g() { planted(); }"
  expect_found "$import: imported by an injected object" "$root" "$library" "${objects[@]}" "$object"
done

# In the library.
compile export 'extern "C" __attribute__((visibility("default"))) void planted_export() {}'
link "$object"
expect_found "planted_export: exported, but in no table" "$root" "$planted" "${objects[@]}"
compile tls 'thread_local int depth; int* at() { return &depth; }'
link "$object"
expect_found "has a TLS segment" "$root" "$planted" "${objects[@]}"
compile constructor '__attribute__((constructor)) void hello() {}'
link "$object"
expect_found "$planted: has constructors" "$root" "$planted" "${objects[@]}"

# In the table.
mkdir -p "$scratch/root/shim"
cp "$root/shim/interposed.inc" "$root/shim/heap_exports.cc" "$scratch/root/shim"
echo 'EVENKEEL_CALL(int, planted_row, (), (), (SYS_getppid))' >>"$scratch/root/shim/interposed.inc"
expect_found "planted_row: in the table, but not exported" "$scratch/root" "$library" "${objects[@]}"
sed -i '/planted_row/d; /pthread_spin_lock,/d' "$scratch/root/shim/interposed.inc"
expect_found "pthread_spin_lock: exported, but in no table" "$scratch/root" "$library" "${objects[@]}"

((failures == 0)) && echo "exports.sh finds what it must"
