#!/usr/bin/env bash
# usage: readme.sh ROOT
# The README names every call of the tables that the code is made of; it and the folders' READMEs
# keep their lengths; every option has its row.
# shellcheck source=tests/tidy/sources.sh
source "$(dirname "$0")/sources.sh"
cd "$1"

check_calls() {
  sed -n '/calls:begin/,/calls:end/{/calls:/!p}' README.md | diff - <(scripts/calls-table) >/dev/null ||
    echo "README.md: the tables of calls are not those of the code: scripts/calls-table --write"
}

check_lengths() {
  local lines file
  lines=$(wc -l <README.md)
  ((lines >= 150 && lines <= 300)) || echo "README.md: $lines lines, not 150 to 300"
  while read -r file; do
    lines=$(wc -l <"$file")
    ((lines <= 60)) || echo "$file: $lines lines, more than 60"
  done < <(find_files runtime snapshot verify mixer shim examples bench tests docs -- README.md)
}

# The rows of the option table in options.cc begin `{"name", "VALUE"`; a hidden one ends `true, set_…`.
check_options() {
  local name
  tr '\n' ' ' <runtime/host/options.cc | grep -oE '\{"[a-z-]+", "[^"]*", "[^"]*",[^}]*set_[a-z_]+\}' |
    grep -vE 'true, *set_' | sed 's/^{"\([a-z-]*\)".*/\1/' | while read -r name; do
    grep -qE -e "--$name\b" README.md || echo "README.md: does not name the option --$name"
  done
}

# A folder with code says what it promises.
check_presence() {
  local folder
  for folder in "${injected[@]}" runtime/host examples bench tests docs; do
    [[ ! -d $folder || -e $folder/README.md || -z $(ls "$folder") ]] || echo "$folder: has no README.md"
  done
}

{
  check_calls
  check_lengths
  check_options
  check_presence
} | verdict
