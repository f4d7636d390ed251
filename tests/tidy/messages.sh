#!/usr/bin/env bash
# usage: messages.sh ROOT
# Every text that can be printed stands in docs/messages.md: the literals of say(), Refusal, the fatal
# macros and count_unhandled(), in the pieces that lie between placeholders.
# shellcheck source=tests/tidy/sources.sh
source "$(dirname "$0")/sources.sh"
cd "$1"

readonly shortest=8  # a piece of fewer characters says nothing by itself

pieces() {  # FILE…: "file<tab>piece"
  perl -0777 -ne '
    s{^\s*//.*$}{}mg;
    my $literal = qr/"((?:[^"\\]|\\.)*)"/s;
    while (/\b(?:say|Refusal|EVENKEEL_DIE|must|count_unhandled)\s*\(((?:$literal|[^";])*);/g) {
      my $arguments = $1;
      $arguments =~ s/"\s*\n\s*"//g;  # adjacent literals are one
      while ($arguments =~ /$literal/g) {
        for my $piece (split /\{[^}]*\}/, $1) {
          $piece =~ s/^\s+|\s+$//g;
          print "$ARGV\t$piece\n" if length $piece >= '"$shortest"';
        }
      }
    }' "$@"
}

mapfile -t files < <(find_files runtime snapshot verify mixer shim -- '*.cc' '*.h')
documented=$(mktemp)
trap 'rm -f "$documented"' EXIT
sed 's/\\|/|/g' docs/messages.md >"$documented"  # a bar in a table's cell
{
  pieces "${files[@]}" | sort -u | while IFS=$'\t' read -r file piece; do
    grep -qF -e "$piece" "$documented" || echo "$file: not in docs/messages.md: $piece"
  done
} | verdict
