#include "runtime/host/mixer/sql.h"

#include <algorithm>
#include <cctype>
#include <string>
#include <utility>
#include <vector>

namespace evenkeel::host {
namespace {

using mixer::Access;

struct Word {
  std::string text;     // lower case; a punctuation mark is a word
  bool quoted = false;  // a name in quotes
  bool end = false;
};

bool is_name_character(char c) {
  return std::isalnum(static_cast<unsigned char>(c)) != 0 || c == '_' || c == '$' ||
         static_cast<unsigned char>(c) >= 0x80;
}

std::string lower(std::string_view text) {
  std::string copy(text);
  for (char& c : copy) c = static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
  return copy;
}

// Words of a text, without comments and strings.
class Words {
 public:
  explicit Words(std::string_view text) : text_(text) {}

  Word next() {
    skip_space_and_comments();
    if (text_.empty()) return {"", false, true};
    const char first = text_.front();
    if (first == '\'') {
      quoted('\'');
      return {"'", false, false};
    }
    if (first == '"' || first == '`') return {quoted(first), true, false};
    if (!is_name_character(first)) {
      text_.remove_prefix(1);
      return {std::string(1, first), false, false};
    }
    const auto* const stop = std::find_if_not(text_.begin(), text_.end(), is_name_character);
    std::string word = lower({text_.begin(), stop});
    text_.remove_prefix(word.size());
    return {std::move(word), false, false};
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
  std::string quoted(char mark) {
    size_t at = 1;
    for (; at < text_.size(); ++at) {
      if (text_[at] == '\\' && mark != '`') {
        ++at;
      } else if (text_[at] == mark) {
        if (at + 1 >= text_.size() || text_[at + 1] != mark) break;
        ++at;
      }
    }
    std::string name = lower(text_.substr(1, std::min(at, text_.size()) - 1));
    drop_to(at + 1);
    return name;
  }

  std::string_view text_;
};

bool is_one_of(const std::string& word, std::initializer_list<const char*> words) {
  return std::any_of(words.begin(), words.end(), [&](const char* w) { return word == w; });
}

class Statement {
 public:
  Statement(Words& words, const Space& tables, Requests& out)
      : words_(words), tables_(tables), out_(out) {}

  // False: the text ends here.
  bool read() {
    word_ = words_.next();
    if (word_.end) return false;
    if (word_.text == ";") return true;
    begin();
    while (!word_.end && (word_.quoted || word_.text != ";")) step();
    flush();
    return !word_.end;
  }

 private:
  void advance() { word_ = words_.next(); }
  [[nodiscard]] bool is(const char* text) const { return !word_.quoted && word_.text == text; }

  void begin() {
    const std::string verb = word_.quoted ? "" : word_.text;
    advance();
    if (is_one_of(verb, {"select", "with", "(", "values", "table", "explain"})) return;
    if (is_one_of(verb, {"begin", "start", "commit", "rollback", "set", "use", "savepoint",
                         "release", "show", "describe", "discard"})) {
      silent_ = true;
    } else if (verb == "insert" || verb == "replace") {
      skip_modifiers();
      if (is("into")) advance();
      tables_of(Access::kWrite);
    } else if (verb == "update" || verb == "delete") {
      all_written_ = true;  // which of the tables that it joins, only the grammar could tell
      if (verb == "update") tables_of(Access::kWrite);
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
      std::string name = word_.text;
      advance();
      while (is(".")) {  // the schema does not count: it may be left out the next time
        advance();
        name = word_.text;
        advance();
      }
      names_.push_back({name, access});
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

  void flush() {
    for (const auto& [name, access] : names_) {
      out_.key(tables_, name, all_written_ ? Access::kWrite : access);
    }
  }

  struct Name {
    std::string text;
    Access access;
  };

  Words& words_;
  const Space& tables_;
  Requests& out_;
  Word word_;
  std::vector<Name> names_;
  bool silent_ = false;       // touches no table
  bool all_written_ = false;  // every table that is named
};

}  // namespace

void add_tables(std::string_view text, const Space& tables, Requests& out) {
  Words words(text);
  while (Statement(words, tables, out).read()) {
  }
}

}  // namespace evenkeel::host
