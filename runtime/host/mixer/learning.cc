#include "runtime/host/mixer/learning.h"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "runtime/host/evidence.h"
#include "runtime/host/mixer/learner.h"
#include "runtime/host/mixer/learnt_file.h"
#include "runtime/host/refusal.h"

namespace evenkeel::host {
namespace {

std::string text_of(const Conflicts::Pair& pair) {
  const auto& [first, second] = pair;
  if (first.word == 0) return fmt::format("'{}' and '{}'", first.kind, second.kind);
  return fmt::format("'{}' and '{}' with the same word {}/{}", first.kind, second.kind, first.word,
                     second.word);
}

Deed deed_of(const Batch& batch, const wire::Input& input) {
  Deed deed;
  deed.channel = input.channel;
  deed.group = input.group;
  if (input.kind == wire::InputKind::kData) {
    const auto* const bytes = reinterpret_cast<const char*>(batch.payload(input));
    deed.phrases = phrases_of({bytes, input.bytes}, kMaxDeedPhrases);
  } else if (const std::string_view kind = kind_of(input.kind); !kind.empty()) {
    deed.phrases.emplace_back().kind = kind;
  }
  return deed;
}

}  // namespace

Learning::Learning(wire::Deck& deck, const Replicas& replicas, Executor& executor, Stats& stats,
                   std::filesystem::path file, bool on)
    : deck_(deck),
      replicas_(replicas),
      executor_(executor),
      stats_(stats),
      file_(std::move(file)),
      on_(on) {
  if (!on_) return;
  std::string complaint;
  read_learnt(file_, conflicts_, complaint);
  if (!complaint.empty()) {
    say("what the mixer learnt before cannot be used: {}: {}", file_.string(), complaint);
  }
  stats_.mixer_learnt = conflicts_.count();
}

void Learning::next_batch() {
  if (!on_ || !conflicts_.next_batch()) return;
  stats_.mixer_learnt = conflicts_.count();
  keep();
}

void Learning::begin(const Report& report) {
  if (!on_) return;
  watching_ = true;
  pages_.clear();
  for (const auto& [page, hashes] : hashes_that_differ(deck_, replicas_.live_mask())) {
    pages_.insert(page);
  }
  channels_.clear();
  for (const record::Difference& output : report.outputs()) {
    channels_.insert(output.object().channel());
  }
  written_.clear();
}

void Learning::executed(uint32_t input) {
  if (!watching_ || input >= kMaxWatched) return;
  executor_.describe();
  const wire::Report& listed = deck_.replicas[replicas_.primary()].report;
  if (written_.size() <= input) written_.resize(input + 1);
  std::vector<uint64_t>& pages = written_[input];
  pages.clear();
  const uint32_t count = std::min(listed.leaf_count, wire::kMaxLeaves);
  for (uint32_t i = 0; i < count; ++i) pages.push_back(listed.leaves[i].page);
  std::sort(pages.begin(), pages.end());
}

bool Learning::struck(const wire::Input& input, const std::vector<uint64_t>& pages) const {
  return channels_.contains(input.channel) ||
         std::any_of(pages.begin(), pages.end(),
                     [this](uint64_t page) { return pages_.contains(page); });
}

void Learning::end(const Batch& batch, Report& report) {
  if (!std::exchange(watching_, false)) return;
  std::vector<Deed> deeds;
  for (uint32_t i = 0; i < std::min<size_t>(batch.count(), written_.size()); ++i) {
    Deed deed = deed_of(batch, batch.input(i));
    deed.struck = struck(batch.input(i), written_[i]);
    deed.pages = std::move(written_[i]);
    if (!deed.phrases.empty()) deeds.push_back(std::move(deed));
  }
  bool news = false;
  for (const Conflicts::Pair& pair : conflicts_of(deeds)) {
    if (!conflicts_.learn(pair)) continue;
    news = true;
    report.add_actions("the mixer learnt to keep apart: " + text_of(pair));
  }
  if (!news) return;
  stats_.mixer_learnt = conflicts_.count();
  keep();
}

void Learning::keep() {
  if (!write_learnt(file_, conflicts_)) {
    say("what the mixer learnt cannot be kept in {}", file_.string());
  }
}

}  // namespace evenkeel::host
