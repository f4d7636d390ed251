#!/usr/bin/env bash
# usage: includes.sh ROOT
# Includes point downwards, hosted code sees the injected side only through runtime/wire.h, and
# injected code uses no part of the C++ library that allocates, throws or locks.
# shellcheck source=tests/tidy/sources.sh
source "$(dirname "$0")/sources.sh"
cd "$1"

# A folder or file, and what it may include besides what lies in itself. A file belongs to the
# longest matching row.
rules='
  runtime/wire.h     runtime/wire_files.h runtime/wire_guard.h runtime/wire_waits.h
  runtime/wire.h     runtime/wire_order.h runtime/wire_state.h runtime/wire_watch.h
  runtime/wire_files.h
  runtime/wire_guard.h
  runtime/wire_order.h
  runtime/wire_waits.h
  runtime/wire_state.h
  runtime/wire_watch.h
  runtime/core       runtime/wire_state.h
  runtime/wire_requests.h runtime/wire.h
  runtime/core
  runtime/sched      runtime/core runtime/wire.h
  runtime/sync       runtime/core runtime/wire.h runtime/sched
  runtime/kernel     runtime/core runtime/wire.h runtime/sched
  runtime/guard      runtime/core runtime/wire.h runtime/sched
  snapshot           runtime/core runtime/wire.h
  verify             runtime/core runtime/wire.h
  mixer              runtime/core runtime/wire.h
  shim               runtime/core runtime/wire.h runtime/sched runtime/sync runtime/kernel snapshot
  shim               runtime/guard runtime/wire_requests.h verify mixer
  runtime/host       runtime/wire.h runtime/wire_requests.h mixer
  examples
  bench              runtime/core runtime/wire.h runtime/sched runtime/sync runtime/kernel snapshot
  bench              verify tests/sched
  bench/mixer_bench.cc runtime/host runtime/wire.h
  bench/load
  bench/mixer        bench/zoo
  bench/zoo
  tests              runtime snapshot verify mixer shim
  tests/support
  tests/e2e          tests/support runtime/host/report.pb.h
  tests/conformance  tests/support
  tests/host         tests/support runtime/host runtime/wire.h mixer
'
# Headers of the standard library that hold types, constants and templates without storage. (What is
# used of the C library is policed by its symbols: shim.exports.)
harmless='algorithm array atomic bit cerrno climits concepts csignal cstddef cstdint cstring ctime
  iterator limits new numeric optional span string_view tuple type_traits utility'
forbidden='stdio.h stdlib.h assert.h locale.h malloc.h wchar.h'
generated='syscall_names.inc'  # made from the kernel's header when building

check() {
  awk -v rules="${rules//$'\n'/;}" \
    -v injected="${injected[*]} runtime/wire.h runtime/wire_files.h runtime/wire_guard.h runtime/wire_state.h runtime/wire_waits.h runtime/wire_watch.h" \
    -v harmless="${harmless//$'\n'/ }" -v forbidden="$forbidden" -v generated="$generated" '
    function set_of(text, set,   words, i) {
      split(text, words, " ")
      for (i in words) set[words[i]] = 1
    }
    BEGIN {
      set_of(injected, is_injected); set_of(harmless, is_harmless)
      set_of(forbidden, is_forbidden); set_of(generated, is_generated)
      rows = split(rules, row, ";")
      for (r = 1; r <= rows; ++r) {
        count = split(row[r], words, " ")
        if (count > 0) owners[words[1]] = 1
        for (i = 1; i <= count; ++i) may[words[1], words[i]] = 1
      }
    }
    # The path and then the folders around it, innermost first; "" after the last.
    function outwards(path) { return sub(/\/[^\/]*$/, "", path) ? path : "" }
    function owner_of(path) {
      while (path != "" && !(path in owners)) path = outwards(path)
      return path
    }
    function may_include(owner, path) {
      while (path != "" && !((owner, path) in may)) path = outwards(path)
      return path != ""
    }
    function lies_in(path, set) {
      while (path != "" && !(path in set)) path = outwards(path)
      return path != ""
    }
    function complain(what) { print FILENAME ":" FNR ": " what }

    FNR == 1 { owner = owner_of(FILENAME); strict = lies_in(FILENAME, is_injected) }
    /^[ \t]*#[ \t]*include[ \t]*"/ {
      split($0, parts, "\""); target = parts[2]
      if (target in is_generated) next
      if (owner == "") complain("no rule for this folder in tests/tidy/includes.sh")
      else if (target ~ /\.\./ || target !~ /\//) complain("\"" target "\" does not start at the root")
      else if (!may_include(owner, target)) complain(owner " may not include \"" target "\"")
    }
    strict && /^[ \t]*#[ \t]*include[ \t]*</ {
      split($0, parts, /[<>]/); target = parts[2]
      if (target ~ /\.h$/ ? target in is_forbidden : !(target in is_harmless))
        complain("injected code may not include <" target ">")
    }' "$@"
}

mapfile -t files < <(code_files)
check "${files[@]}" | verdict
