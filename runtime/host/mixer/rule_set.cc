#include "runtime/host/mixer/rule_set.h"

#include <algorithm>
#include <utility>

#include "runtime/host/mixer/dialect.h"

namespace evenkeel::host {
namespace {

using mixer::Access;
using re2::StringPiece;

// The access to a table that goes with an access to one of its rows.
Access part_of(Access row) { return row == Access::kRead ? Access::kReadPart : Access::kAdd; }

void add_row(const RuleKey& key, std::string_view row, Requests& out) {
  if (!row.empty()) out.key({key.table, key.space}, row, key.access);
}

void add_key(const RuleKey& key, const StringPiece* groups, Requests& out) {
  const Space table{key.table, key.space};
  if (key.group == 0) return out.key(table, {}, key.access);
  out.key(table, {}, part_of(key.access));
  std::string_view rows(groups[key.group].data(), groups[key.group].size());
  if (key.separator.empty()) return add_row(key, rows, out);
  while (!rows.empty()) {
    const size_t end = std::min(rows.find(key.separator), rows.size());
    add_row(key, rows.substr(0, end), out);
    rows.remove_prefix(std::min(end + key.separator.size(), rows.size()));
  }
}

}  // namespace

RuleSet::RuleSet(std::vector<Rule> rules, Reach unknown)
    : rules_(std::move(rules)), unknown_(unknown) {
  patterns_ = std::make_unique<RE2::Set>(RE2::Options(RE2::Quiet), RE2::UNANCHORED);
  for (const Rule& rule : rules_) patterns_->Add(rule.pattern->pattern(), nullptr);
  if (!patterns_->Compile()) patterns_.reset();  // too large: one after another then
}

const Rule* RuleSet::find(std::string_view text) const {
  const StringPiece piece(text.data(), text.size());
  if (patterns_ != nullptr) {
    RE2::Set::ErrorInfo error{};
    if (patterns_->Match(piece, &matching_, &error)) {
      return &rules_[static_cast<size_t>(*std::min_element(matching_.begin(), matching_.end()))];
    }
    if (error.kind == RE2::Set::kNoError) return nullptr;
  }
  for (const Rule& rule : rules_) {
    if (RE2::PartialMatch(piece, *rule.pattern)) return &rule;
  }
  return nullptr;
}

uint64_t RuleSet::add(std::string_view text, Requests& out) const {
  const Rule* const rule = find(text);
  if (rule == nullptr) {
    out.begin("(no rule matches)");
    out.reach(unknown_);
    return 0;
  }
  out.begin(rule->kind);
  if (rule->everything) out.everything();
  if (rule->keys.empty() && rule->body_group == 0) return 0;
  StringPiece groups[kMaxGroups + 1];
  const int count = 1 + rule->pattern->NumberOfCapturingGroups();
  rule->pattern->Match(StringPiece(text.data(), text.size()), 0, text.size(), RE2::UNANCHORED,
                       groups, std::min(count, kMaxGroups + 1));
  for (const RuleKey& key : rule->keys) add_key(key, groups, out);
  if (rule->body_group == 0) return 0;
  const StringPiece& size = groups[rule->body_group];
  uint64_t bytes = 0;
  if (read_number({size.data(), size.size()}, bytes)) return bytes + rule->body_extra;
  out.unknown();
  return 0;
}

}  // namespace evenkeel::host
