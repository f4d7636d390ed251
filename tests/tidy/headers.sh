#!/usr/bin/env bash
# usage: headers.sh ROOT COMPILER [OPTION…]
# Every header compiles by itself, in no company but its own includes. Where a source file of the
# same name includes it first, building that file has shown it.
# shellcheck source=tests/tidy/sources.sh
source "$(dirname "$0")/sources.sh"
cd "$1"
export compiler=$2
shift 2
export options=$*

compile() {
  local said
  # Unquoted: options are words.
  # shellcheck disable=SC2086
  said=$($compiler -std=c++20 $options -Wall -Wextra -Wshadow -Wconversion -Werror -fsyntax-only \
    -I. -include "$1" -x c++ /dev/null 2>&1) || printf '%s: does not compile by itself\n%s\n' "$1" "$said"
}
export -f compile

shown_by_build() {
  local source=${1%.h}.cc
  [[ -e $source ]] && grep -m1 '^#include' "$source" | grep -qxF "#include \"$1\""
}

# shellcheck disable=SC2016
find_files runtime snapshot verify mixer shim examples bench tests -- '*.h' |
  while read -r header; do shown_by_build "$header" || echo "$header"; done |
  xargs -P "$(nproc)" -I{} bash -c 'compile "$1"' - {} | verdict
