#include "runtime/host/mixer/rules.h"

#include <fmt/format.h>
#include <google/protobuf/io/tokenizer.h>
#include <google/protobuf/text_format.h>

#include <algorithm>
#include <fstream>
#include <iterator>
#include <utility>

#include "runtime/host/mixer/http.h"
#include "runtime/host/mixer/rule_set.h"
#include "runtime/host/mixer/rules.pb.h"
#include "runtime/host/refusal.h"

namespace evenkeel::host {
namespace {

using google::protobuf::FieldDescriptor;
using google::protobuf::Message;
using google::protobuf::TextFormat;
using mixer::Access;
using Tree = TextFormat::ParseInfoTree;

[[noreturn]] void refuse(const std::string& name, int line, int column, const std::string& what) {
  // protobuf counts from zero.
  throw Refusal(kExitUsage, fmt::format("{}:{}:{}: {}", name, line + 1, column + 1, what),
                "docs/mixer.md shows how rules are written; try them with evenkeel mixer explain");
}

class FirstError : public google::protobuf::io::ErrorCollector {
 public:
  void AddError(int line, int column, const std::string& message) override {
    if (!text_.empty()) return;
    text_ = message;
    line_ = std::max(line, 0);
    column_ = std::max(column, 0);
  }
  void throw_if_any(const std::string& name) const {
    if (!text_.empty()) refuse(name, line_, column_, text_);
  }

 private:
  std::string text_;
  int line_ = 0;
  int column_ = 0;
};

// A message of the file, and where its fields stand in the text.
struct Place {
  const std::string& name;
  const Message& message;
  const Tree* tree;

  [[nodiscard]] const FieldDescriptor* field(const char* field) const {
    return message.GetDescriptor()->FindFieldByName(field);
  }
  [[noreturn]] void refuse_field(const char* which, int index, const std::string& what) const {
    const auto at = tree->GetLocation(field(which), index);
    refuse(name, std::max(at.line, 0), std::max(at.column, 0), what);
  }
  // `index`: -1 unless repeated.
  [[nodiscard]] Place nested(const char* which, int index, const Message& inner) const {
    return {name, inner, tree->GetTreeForNested(field(which), index)};
  }
};

// ---------------------------------------------------------------- framings

class Lines : public Dialect {
 public:
  explicit Lines(RuleSet rules) : rules_(std::move(rules)) {}

 private:
  size_t head(Stream& stream, std::string_view bytes, Requests& out) const override {
    std::string_view rest = bytes;
    std::string_view line;
    if (!take_line(rest, line)) return kIncomplete;
    stream.body = rules_.add(line, out);
    return bytes.size() - rest.size();
  }
  RuleSet rules_;
};

class LengthPrefixed : public Dialect {
 public:
  LengthPrefixed(RuleSet rules, const rules::LengthPrefix& form)
      : rules_(std::move(rules)), form_(form) {}

 private:
  [[nodiscard]] uint64_t number(std::string_view header) const {
    uint64_t value = 0;
    for (uint32_t i = 0; i < form_.number_bytes(); ++i) {
      const uint32_t at = form_.little_endian() ? form_.number_bytes() - 1 - i : i;
      value = value << 8 | static_cast<uint8_t>(header[form_.number_offset() + at]);
    }
    return value;
  }

  size_t head(Stream& stream, std::string_view bytes, Requests& out) const override {
    if (bytes.size() < form_.header_bytes()) return kIncomplete;
    const auto behind = static_cast<__int128>(number(bytes)) + form_.add();
    if (behind < 0 || behind > INT64_MAX) return kLost;
    const auto whole = static_cast<uint64_t>(behind);
    const auto looked = std::min<uint64_t>(whole, form_.look());
    if (bytes.size() < form_.header_bytes() + looked) return kIncomplete;
    rules_.add(bytes.substr(form_.header_bytes(), looked), out);
    stream.body = whole - looked;
    return form_.header_bytes() + looked;
  }

  RuleSet rules_;
  rules::LengthPrefix form_;
};

class HttpRules : public HttpFraming {
 public:
  explicit HttpRules(RuleSet rules) : rules_(std::move(rules)) {}

 private:
  void request(std::string_view method, std::string_view target, Requests& out) const override {
    rules_.add(fmt::format("{} {}", method, target), out);
  }
  RuleSet rules_;
};

// ---------------------------------------------------------------- checks

int group_of(const RE2& pattern, const std::string& group, const char* field, const Place& place) {
  const auto& groups = pattern.NamedCapturingGroups();
  const auto found = groups.find(group);
  if (found == groups.end()) {
    place.refuse_field(field, -1, fmt::format("the pattern has no group (?P<{}>...)", group));
  }
  if (found->second > RuleSet::kMaxGroups) {
    place.refuse_field(field, -1,
                       fmt::format("only the first {} groups can be keys", RuleSet::kMaxGroups));
  }
  return found->second;
}

RuleKey compile(const rules::Key& key, Access access, const RE2& pattern, const Place& place) {
  RuleKey rule;
  rule.table = key.table();
  rule.space = mixer::key_id(mixer::kRootSpace, rule.table);
  rule.access = access;
  if (key.has_row()) rule.group = group_of(pattern, key.row(), "row", place);
  if (key.has_separator() && (rule.group == 0 || key.separator().empty())) {
    place.refuse_field("separator", -1, "a separator needs a row, and at least one character");
  }
  rule.separator = key.separator();
  return rule;
}

class Compiler {
 public:
  Compiler(const rules::Rules& file, const Tree& tree, const std::string& name)
      : file_(file), root_{name, file, &tree} {}

  std::vector<Rule> rules() {
    if (file_.request_size() > kMaxRules) {
      root_.refuse_field("request", kMaxRules, fmt::format("more than {} requests", kMaxRules));
    }
    std::vector<Rule> all;
    for (int i = 0; i < file_.request_size(); ++i) all.push_back(rule(i));
    return all;
  }

 private:
  Rule rule(int index) {
    const rules::Request& request = file_.request(index);
    const Place place = root_.nested("request", index, request);
    if (!request.has_match()) root_.refuse_field("request", index, "a request without `match`");
    Rule rule;
    rule.kind = request.has_kind() ? request.kind() : request.match();
    rule.pattern = std::make_unique<RE2>(request.match(), RE2::Quiet);
    if (!rule.pattern->ok()) place.refuse_field("match", -1, rule.pattern->error());
    rule.everything = request.everything();
    add_keys(request.read(), "read", Access::kRead, place, rule);
    add_keys(request.write(), "write", Access::kWrite, place, rule);
    add_keys(request.add(), "add", Access::kAdd, place, rule);
    if (request.has_body()) {
      const auto framing = file_.framing().kind_case();
      if (framing != rules::Framing::kLine && framing != rules::Framing::KIND_NOT_SET) {
        place.refuse_field("body", -1, "only lines can have a body that they announce");
      }
      rule.body_group = group_of(*rule.pattern, request.body(), "body", place);
      rule.body_extra = request.body_extra();
    }
    return rule;
  }

  template <typename Keys>
  void add_keys(const Keys& keys, const char* field, Access access, const Place& place,
                Rule& rule) {
    for (int i = 0; i < keys.size(); ++i) {
      const Place inner = place.nested(field, i, keys[i]);
      if (!keys[i].has_table() || keys[i].table().empty()) {
        place.refuse_field(field, i, "a key without a table");
      }
      rule.keys.push_back(compile(keys[i], access, *rule.pattern, inner));
    }
  }

  const rules::Rules& file_;
  Place root_;
};

// The tree cannot be copied or moved.
struct Parsed {
  rules::Rules file;
  Tree tree;
};

void parse(const std::string& text, const std::string& name, Parsed& parsed) {
  FirstError error;
  TextFormat::Parser parser;
  parser.RecordErrorsTo(&error);
  parser.WriteLocationsTo(&parsed.tree);
  const bool good = parser.ParseFromString(text, &parsed.file);
  error.throw_if_any(name);
  if (!good) refuse(name, 0, 0, "cannot be read");
}

Reach unknown_of(const rules::Rules& file) {
  if (file.unknown() == rules::Rules::CONFLICTS_WITH_EVERYTHING) return Reach::kEverything;
  return file.unknown() == rules::Rules::CONFLICTS_WITH_NOTHING ? Reach::kKeys : Reach::kUnknown;
}

void check(const rules::LengthPrefix& form, const Place& place) {
  if (form.number_bytes() < 1 || form.number_bytes() > 8) {
    place.refuse_field("number_bytes", -1, "a number has 1 to 8 bytes");
  }
  if (uint64_t{form.number_offset()} + form.number_bytes() > form.header_bytes()) {
    place.refuse_field(form.has_header_bytes() ? "header_bytes" : "number_offset", -1,
                       "the number does not lie in the header");
  }
  if (uint64_t{form.header_bytes()} + form.look() >= kMaxHeadBytes) {
    place.refuse_field(form.has_look() ? "look" : "header_bytes", -1,
                       fmt::format("header and look are {} bytes or more", kMaxHeadBytes));
  }
}

}  // namespace

std::unique_ptr<Dialect> rules_dialect(const std::string& text, const std::string& name) {
  Parsed parsed;
  parse(text, name, parsed);
  const rules::Framing& framing = parsed.file.framing();
  RuleSet rules(Compiler(parsed.file, parsed.tree, name).rules(), unknown_of(parsed.file));
  switch (framing.kind_case()) {
    case rules::Framing::kLengthPrefix: {
      const Place root{name, parsed.file, &parsed.tree};
      check(
          framing.length_prefix(),
          root.nested("framing", -1, framing).nested("length_prefix", -1, framing.length_prefix()));
      return std::make_unique<LengthPrefixed>(std::move(rules), framing.length_prefix());
    }
    case rules::Framing::kHttp:
      return std::make_unique<HttpRules>(std::move(rules));
    default:
      return std::make_unique<Lines>(std::move(rules));
  }
}

std::unique_ptr<Dialect> read_rules(const std::filesystem::path& file) {
  std::ifstream input(file, std::ios::binary);
  const std::string text{std::istreambuf_iterator<char>(input), std::istreambuf_iterator<char>()};
  if (!input.is_open() || input.bad()) {
    throw Refusal(kExitUsage, fmt::format("the rules in {} cannot be read", file.string()),
                  "name a file that can be, or a dialect");
  }
  return rules_dialect(text, file.string());
}

}  // namespace evenkeel::host
