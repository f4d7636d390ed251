#!/usr/bin/env bash
# usage: exports.sh ROOT LIBRARY OBJECT…
# What the preloaded library gives and takes: it exports the interposed symbols and nothing else, and
# its objects import only allowed_imports.txt, have no constructors and no thread-local storage, and
# never use %fs. One exception: the constructor in init.cc that stores the pointer guard at %fs:0x30.
# Imports are read from the object files: inside the library, a call to a symbol that
# it exports itself (malloc, write) no longer shows.
set -euo pipefail
export LC_ALL=C
allowed=$(dirname "$0")/allowed_imports.txt
root=$1 library=$2
shift 2
objects=("$@")
scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT

interposed() {
  sed -n 's/^EVENKEEL_\(SYNC\|SEM\|HOOK\|FIRST\)(\([A-Za-z0-9_]*\),.*/\2/p
          s/^EVENKEEL_\(C11\|CALL\)([^,]*, *\([A-Za-z0-9_]*\),.*/\2/p' "$root/shim/interposed.inc"
  sed -n 's/^EVENKEEL_EXPORT [^(]*[ *]\([a-z_0-9]*\)(.*/\1/p' "$root/shim/heap_exports.cc" \
    "$root/shim/hint.cc"
  echo __libc_start_main
}

# compare WANTED HAVE MISSING EXTRA: complaints about the two sorted lists.
compare() {
  comm -23 "$1" "$2" | sed "s/\$/: $3/"
  comm -13 "$1" "$2" | sed "s/\$/: $4/"
}

check_exports() {
  interposed | sort >"$scratch/table"
  nm -D --defined-only --extern-only "$library" | awk '{ print $3 }' | sort >"$scratch/exported"
  compare "$scratch/table" "$scratch/exported" "in the table, but not exported" \
    "exported, but in no table"
  uniq -d "$scratch/table" | sed 's/$/: twice in the table/'
}

# A symbol that we export counts as foreign even though one of our objects defines it: no object may
# use it by that name.
check_imports() {
  nm --defined-only -g "${objects[@]}" | awk 'NF == 3 { print $3 }' | sort -u |
    comm -23 - "$scratch/table" >"$scratch/defined"
  nm -u "${objects[@]}" | awk '$1 == "U" || $1 == "w" { print $2 }' | sort -u |
    comm -23 - "$scratch/defined" >"$scratch/imported"
  sed '/^#/d; s/ .*//' "$allowed" | sort >"$scratch/allowed"
  comm -13 "$scratch/allowed" "$scratch/imported" |
    sed 's/$/: imported by an injected object, but not allowed/'
}

# sections FILE…: lines "file name size-in-hex" of all sections.
sections() {
  readelf -SW "$@" | awk -v only="$1" '
    BEGIN { file = only }
    /^File: / { file = $2 }
    sub(/^ *\[ *[0-9]+\] */, "") { print file, $1, $5 }'
}

check_objects() {
  sections "${objects[@]}" | awk '
    $3 ~ /^0+$/ { next }
    $1 ~ /\/init\.cc\.o$/ && $2 == ".init_array" && $3 ~ /^0*8$/ { next }
    $2 ~ /^\.((pre)?init_array|ctors|fini_array|dtors)/ {
      print $1 ": has a static constructor or destructor"
    }
    $2 ~ /^\.t(data|bss)/ { print $1 ": has thread-local storage" }'
  objdump -d --no-show-raw-insn "${objects[@]}" | awk '
    / file format / { file = $1 }
    file ~ /\/init\.cc\.o:$/ && /mov +%[a-z0-9]+,%fs:0x30$/ { next }
    /%fs:/ { print file " uses %fs:" $0 }'
}

# Two entries of .init_array: the C start-up files' own (frame_dummy), and init.cc's.
check_library() {
  sections "$library" | awk '
    $2 ~ /^\.(pre)?init_array/ && !($2 == ".init_array" && $3 ~ /^0*10$/) {
      print $1 ": has constructors"
    }'
  ! readelf -lW "$library" | grep -qw TLS || echo "$library: has a TLS segment"
  ! readelf -lW "$library" | grep GNU_STACK | grep -q RWE || echo "$library: has an executable stack"
  readelf -dW "$library" | sed -n 's/.*(NEEDED).*\[\(.*\)\]/\1/p' |
    grep -vxE 'libc\.so\.6|ld-linux-x86-64\.so\.2' | sed "s|^|$library: needs |" || true
}

complaints=$(check_exports; check_imports; check_objects; check_library)
[[ -z $complaints ]] || { printf '%s\n' "$complaints" >&2; exit 1; }
