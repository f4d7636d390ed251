#include "runtime/host/mixer/phrases.h"

#include "runtime/host/mixer/dialect.h"

namespace evenkeel::host {

Phrase phrase_of(std::string_view line) {
  Phrase phrase;
  phrase.kind = take_word(line).substr(0, Phrase::kMaxKindBytes);
  while (phrase.count < Phrase::kMaxWords) {
    const std::string_view word = take_word(line);
    if (word.empty()) break;
    phrase.words[phrase.count++] = word;
  }
  return phrase;
}

std::string_view kind_of(wire::InputKind kind) {
  switch (kind) {
    case wire::InputKind::kOpened:
      return "(opened)";
    case wire::InputKind::kEof:
    case wire::InputKind::kReset:
      return "(closed)";
    default:
      return {};
  }
}

std::vector<Phrase> phrases_of(std::string_view text, size_t most) {
  std::vector<Phrase> phrases;
  for (std::string_view line; phrases.size() < most && take_line(text, line);) {
    phrases.push_back(phrase_of(line));
  }
  return phrases;
}

}  // namespace evenkeel::host
