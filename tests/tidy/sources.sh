# shellcheck shell=bash disable=SC2034
# What the checkers share; sourced. They work on the tree in the current directory.
set -euo pipefail

injected=(runtime/core runtime/sched runtime/sync runtime/kernel runtime/guard snapshot verify mixer shim)

# find_files FOLDER… -- PATTERN…: files below the folders by name, in a fixed order. A folder that
# does not exist holds none.
find_files() {
  local folders=() names=()
  while [[ $1 != -- ]]; do
    [[ ! -e $1 ]] || folders+=("$1")
    shift
  done
  shift
  local pattern
  for pattern in "$@"; do names+=(-o -name "$pattern"); done
  find "${folders[@]}" -type f '(' "${names[@]:1}" ')' | LC_ALL=C sort
}

code_files() {
  find_files runtime snapshot verify mixer shim examples bench tests -- '*.h' '*.cc' '*.c' '*.inc'
}

# Complaints come in on stdin, one a line. None: success.
verdict() {
  local complaints
  complaints=$(cat)
  [[ -z $complaints ]] && return
  printf '%s\n' "$complaints" >&2
  return 1
}
