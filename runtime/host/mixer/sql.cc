#include "runtime/host/mixer/sql.h"

#include <algorithm>
#include <cctype>
#include <initializer_list>

namespace evenkeel::host {
namespace {

using mixer::Access;

struct Word {
  std::string_view text;  // without quotes; a punctuation mark is a word
  bool quoted = false;    // a name in quotes
  bool end = false;
};

char lower(char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c + 'a' - 'A') : c; }

// `small` is in lower case.
bool equal(std::string_view text, std::string_view small) {
  if (text.size() != small.size()) return false;
  for (size_t i = 0; i < text.size(); ++i) {
    if (lower(text[i]) != small[i]) return false;
  }
  return true;
}

bool is_one_of(std::string_view text, std::initializer_list<std::string_view> words) {
  return std::any_of(words.begin(), words.end(),
                     [&](std::string_view w) { return equal(text, w); });
}

bool is_name_character(char c) {
  return std::isalnum(static_cast<unsigned char>(c)) != 0 || c == '_' || c == '$' ||
         static_cast<unsigned char>(c) >= 0x80;
}

// Words of a text, without comments and strings.
class Words {
 public:
  explicit Words(std::string_view text) : text_(text) {}

  Word next() {
    skip_space_and_comments();
    if (text_.empty()) return {{}, false, true};
    const char first = text_.front();
    if (first == '\'') {
      quoted(first);
      return {"'", false, false};
    }
    if (first == '"' || first == '`') return {quoted(first), true, false};
    size_t bytes = 1;
    if (is_name_character(first)) {
      while (bytes < text_.size() && is_name_character(text_[bytes])) ++bytes;
    }
    const std::string_view word = text_.substr(0, bytes);
    text_.remove_prefix(bytes);
    return {word, false, false};
  }

 private:
  void drop_to(size_t end) { text_.remove_prefix(std::min(end, text_.size())); }

  void skip_space_and_comments() {
    for (;;) {
      drop_to(text_.find_first_not_of(" \t\r\n\f\v"));
      if (text_.starts_with("--") || text_.starts_with("#")) {
        drop_to(text_.find('\n'));
      } else if (text_.starts_with("/*")) {
        const size_t end = text_.find("*/", 2);
        drop_to(end == std::string_view::npos ? end : end + 2);
      } else {
        return;
      }
    }
  }

  // Doubled quotes and backslashes are kept as they are: the end is what matters.
  std::string_view quoted(char mark) {
    size_t at = 1;
    for (; at < text_.size(); ++at) {
      if (text_[at] == '\\' && mark != '`') {
        ++at;
      } else if (text_[at] == mark) {
        if (at + 1 >= text_.size() || text_[at + 1] != mark) break;
        ++at;
      }
    }
    const std::string_view name = text_.substr(1, std::min(at, text_.size()) - 1);
    drop_to(at + 1);
    return name;
  }

  std::string_view text_;
};

class Statement {
 public:
  Statement(Words& words, const Space& tables, Requests& out)
      : words_(words), tables_(tables), out_(out) {}

  // False: the text ends here.
  bool read() {
    word_ = words_.next();
    if (word_.end) return false;
    if (is(";")) return true;
    const size_t first_key = out_.keys().size();
    begin();
    while (!word_.end && !is(";")) step();
    if (all_written_) out_.write_from(first_key);
    return !word_.end;
  }

 private:
  void advance() { word_ = words_.next(); }
  [[nodiscard]] bool is(std::string_view text) const {
    return !word_.quoted && equal(word_.text, text);
  }

  void begin() {
    const std::string_view verb = word_.quoted ? std::string_view() : word_.text;
    advance();
    if (is_one_of(verb, {"select", "with", "(", "values", "table", "explain"})) return;
    if (is_one_of(verb, {"begin", "start", "commit", "rollback", "set", "use", "savepoint",
                         "release", "show", "describe", "discard"})) {
      silent_ = true;
    } else if (is_one_of(verb, {"insert", "replace"})) {
      skip_modifiers();
      if (is("into")) advance();
      tables_of(Access::kWrite);
    } else if (is_one_of(verb, {"update", "delete"})) {
      all_written_ = true;  // which of the tables that it joins, only the grammar could tell
      if (equal(verb, "update")) tables_of(Access::kWrite);
    } else {
      out_.unknown();
      silent_ = true;
    }
  }

  void step() {
    if (silent_) return advance();
    const bool from = is("from") || is("join");
    const bool into = is("into");
    // WITH x AS (DELETE ...), FOR UPDATE, ON DUPLICATE KEY UPDATE
    if (is("insert") || is("update") || is("delete") || is("merge")) all_written_ = true;
    advance();
    if (from || into) tables_of(into ? Access::kWrite : Access::kRead);
  }

  void skip_modifiers() {
    while (is("only") || is("lateral") || is("low_priority") || is("high_priority") ||
           is("ignore") || is("quick") || is("delayed")) {
      advance();
    }
  }

  // A list of names, each perhaps with a schema and an alias.
  void tables_of(Access access) {
    for (;;) {
      skip_modifiers();
      if (word_.end || is("(") || is(";")) return;  // a subquery says FROM itself
      std::string_view name = word_.text;
      advance();
      while (is(".")) {  // the schema does not count: it may be left out the next time
        advance();
        name = word_.text;
        advance();
      }
      add(name, access);
      if (!skip_alias()) return;
    }
  }

  // True: a comma follows, and so another name.
  bool skip_alias() {
    if (is("as")) advance();
    if (!word_.end && !is(",") && is_alias()) advance();
    if (!is(",")) return false;
    advance();
    return true;
  }
  [[nodiscard]] bool is_alias() const {
    if (word_.quoted) return true;
    return is_name_character(word_.text.front()) &&
           !is_one_of(word_.text,
                      {"where",  "set",     "join",   "inner",     "left",     "right",
                       "cross",  "natural", "on",     "using",     "group",    "order",
                       "limit",  "for",     "values", "select",    "full",     "union",
                       "from",   "into",    "having", "returning", "default",  "straight_join",
                       "window", "offset",  "fetch",  "except",    "intersect"});
  }

  // Names that differ in case are one table, and so are those that differ only behind so many
  // characters: servers disagree about the former and refuse the latter.
  void add(std::string_view name, Access access) {
    char small[64];
    const size_t bytes = std::min(name.size(), sizeof small);
    std::transform(name.begin(), name.begin() + static_cast<ptrdiff_t>(bytes), small, lower);
    out_.key(tables_, {small, bytes}, access);
  }

  Words& words_;
  const Space& tables_;
  Requests& out_;
  Word word_;
  bool silent_ = false;       // touches no table
  bool all_written_ = false;  // every table that is named, here or in the statements before
};

}  // namespace

void add_tables(std::string_view text, const Space& tables, Requests& out) {
  Words words(text);
  while (Statement(words, tables, out).read()) {
  }
}

}  // namespace evenkeel::host
