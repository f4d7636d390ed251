#include "runtime/host/guard.h"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "runtime/host/refusal.h"

namespace evenkeel::host {
namespace {

using Change = Interleavings::Change;

void append(OutputStreams& streams, const OutputStreams& more) {
  for (const auto& [channel, text] : more) streams[channel] += text;
}

// A channel without a word is like none.
uint64_t differing_channels(const OutputStreams& a, const OutputStreams& b) {
  uint64_t count = 0;
  for (const auto& [channel, text] : a) {
    const auto other = b.find(channel);
    if (other == b.end() ? !text.empty() : other->second != text) ++count;
  }
  for (const auto& [channel, text] : b) {
    if (!text.empty() && a.find(channel) == a.end()) ++count;
  }
  return count;
}

}  // namespace

Guard::Guard(wire::Deck& deck, Stats& stats, wire::Guard mode, std::filesystem::path file)
    : deck_(deck), stats_(stats), mode_(mode), file_(std::move(file)) {}

// ---------------------------------------------------------------- from run to run

void Guard::started(pid_t pid) {
  if (mode_ == wire::Guard::kOff) return;
  code_.read(pid);
  if (mode_ == wire::Guard::kStrict) return;
  if (!loaded_) load();
  fill_table();
}

void Guard::load() {
  loaded_ = true;
  std::string complaint;
  const GuardRecord record = read_guard_file(file_, complaint);
  if (!complaint.empty()) {
    say("what the guard learnt before cannot be used: {}: {}", file_.string(), complaint);
  }
  interleavings_.restore_record(record.answers_changed);
  for (const StoredInterleaving& stored : record.interleavings) restore(stored);
}

void Guard::restore(const StoredInterleaving& stored) {
  const auto before = site_of(stored.before);
  const auto between = site_of(stored.between);
  const auto after = site_of(stored.after);
  if (!before || !between || !after) return absent_.push_back(stored);
  interleavings_.restore(
      {*before, *between, *after, stored.unlearnt, stored.convicted, stored.learnt});
}

void Guard::keep() {
  GuardRecord record{interleavings_.answers_changed(), absent_};
  for (const auto& [key, standing] : interleavings_.all()) {
    if (!standing.learnt && !standing.convicted && standing.unlearnt == 0) continue;
    const auto before = stored_site(standing.before);
    const auto between = stored_site(standing.between);
    const auto after = stored_site(standing.after);
    if (!before || !between || !after) continue;  // code without a file is other in each run
    record.interleavings.push_back(
        {*before, *between, *after, standing.unlearnt, standing.convicted, standing.learnt});
  }
  if (!write_guard_file(file_, record)) {
    say("what the guard learnt cannot be kept in {}", file_.string());
  }
}

std::optional<wire::CallSite> Guard::site_of(const StoredSite& stored) {
  const auto address = code_.address_of(stored.place);
  if (!address) return std::nullopt;
  return wire::CallSite{*address, stored.depth};
}

std::optional<StoredSite> Guard::stored_site(const wire::CallSite& site) {
  auto place = code_.place_of(site.code);
  if (!place) return std::nullopt;
  return StoredSite{std::move(*place), site.depth};
}

void Guard::fill_table() {
  deck_.learnt = wire::LearntTable{};
  for (const auto& [key, standing] : interleavings_.all()) {
    if (standing.learnt && !wire::add_learnt(deck_.learnt, key)) break;  // stays suspect
  }
  stats_.guard_learnt = interleavings_.learnt();
}

// ---------------------------------------------------------------- trials

bool Guard::suspects(uint32_t primary) {
  const wire::GuardResult& result = deck_.replicas[primary].guard;
  stats_.guard_unchecked += result.unchecked_groups;
  accused_.clear();
  const uint32_t suspects = std::min(result.suspects, wire::kMaxInterleavings);
  accused_.assign(result.suspect, result.suspect + suspects);
  add_audits(result);
  return !accused_.empty();
}

// A batch that is executed again anyway tests them for nothing.
void Guard::add_audits(const wire::GuardResult& result) {
  const bool free = !accused_.empty();
  audit_credit_ = std::min(audit_credit_ + 1, kMaxSavedAudits * kBatchesPerAudit);
  const bool allowed = free || audit_credit_ >= kBatchesPerAudit;
  const size_t suspects = accused_.size();
  for (uint32_t i = 0; i < std::min(result.learnt, wire::kMaxInterleavings); ++i) {
    const uint64_t key = result.learnt_key[i];
    if (!interleavings_.sighted(key) || !allowed) continue;
    const Interleavings::Standing& s = *interleavings_.find(key);
    accused_.push_back({key, s.before, s.between, s.after, 0, 0, 0});
  }
  if (!free && accused_.size() != suspects) audit_credit_ -= kBatchesPerAudit;
}

void Guard::begin_trial(uint32_t primary, Report& report) {
  on_trial_ = true;
  code_.follow(deck_.replicas[primary].pid);
  suspected_ = split_outputs(deck_.outputs[primary], deck_.replicas[primary].result.output_bytes);
  sequential_.clear();
  first_sight_ = false;
  report.set_interleavings_total(accused_.size());
  for (const wire::Interleaving& i : accused_) {
    first_sight_ = first_sight_ || interleavings_.find(i.key) == nullptr;
    if (report.interleavings_size() == kMaxShown) continue;
    record::Interleaving& view = *report.add_interleavings();
    view.set_lock(i.lock);
    view.set_input(i.input);
    view.set_other(i.other);
    *view.mutable_before() = code_.frame_of(i.before.code, true);
    *view.mutable_between() = code_.frame_of(i.between.code, true);
    *view.mutable_after() = code_.frame_of(i.after.code, true);
  }
}

void Guard::add_outputs(const uint8_t* area, uint64_t bytes) {
  if (on_trial_) append(sequential_, split_outputs(area, bytes));
}

bool Guard::end_trial(bool complete, Report& report) {
  on_trial_ = false;
  const uint64_t differing = differing_channels(suspected_, sequential_);
  report.set_outcome(differing == 0 ? "all answers were the same"
                                    : fmt::format("the answers to {} connections were others: "
                                                  "only these were sent",
                                                  differing));
  if (!complete) return true;
  return judge(differing == 0, report) || first_sight_ || differing != 0;
}

std::string Guard::name_of(const wire::CallSite& site) {
  return code_text(code_.frame_of(site.code, true));
}

// True if something is learnt or unlearnt by it.
bool Guard::judge(bool harmless, Report& report) {
  const bool record = interleavings_.answers_changed();
  bool learnt = false;
  bool unlearnt = false;
  for (const wire::Interleaving& i : accused_) {
    const Change change = interleavings_.judge(i, harmless);
    if (mode_ != wire::Guard::kLearn || change == Change::kNone) continue;
    learnt = learnt || change == Change::kLearnt;
    unlearnt = unlearnt || change == Change::kUnlearnt;
    report.add_actions(
        fmt::format("{}: {}, then {}, then {}",
                    change == Change::kLearnt ? "learnt as harmless" : "not harmless after all",
                    name_of(i.before), name_of(i.between), name_of(i.after)));
  }
  if (mode_ != wire::Guard::kLearn) return false;
  if (learnt || unlearnt) fill_table();
  if (learnt || unlearnt || record != interleavings_.answers_changed()) keep();
  return learnt || unlearnt;
}

void Guard::blame(uint32_t primary) {
  const wire::GuardResult& result = deck_.replicas[primary].guard;
  bool unlearnt = false;
  for (uint32_t i = 0; i < std::min(result.learnt, wire::kMaxInterleavings); ++i) {
    const Change change = interleavings_.blame(result.learnt_key[i]);
    unlearnt = unlearnt || change == Change::kUnlearnt;
  }
  for (uint32_t i = 0; i < std::min(result.suspects, wire::kMaxInterleavings); ++i) {
    interleavings_.blame(result.suspect[i].key);
  }
  if (!unlearnt) return;
  fill_table();
  keep();
}

}  // namespace evenkeel::host
