#include "runtime/host/experiment.h"

#include <algorithm>
#include <array>
#include <map>
#include <optional>
#include <set>
#include <span>
#include <string>
#include <tuple>
#include <utility>
#include <vector>

#include "runtime/host/clock.h"
#include "runtime/host/code_map.h"
#include "runtime/host/race_finder.h"
#include "runtime/host/stack_walk.h"

namespace evenkeel::host {
namespace {

constexpr uint64_t kWordBytes = 8;
constexpr uint64_t kPageBytes = 4096;
// Where what differs is not what was raced for: so many of the pages that the batch writes to.
constexpr size_t kMaxPages = 128;
constexpr size_t kPagesAtOnce = 4;
constexpr size_t kMaxContested = 64;
constexpr uint32_t kFailuresOfDifferences = 8;  // enough to tell what they have in common
constexpr uint32_t kVainExecutions = 12;        // after which they are not what was raced for
constexpr uint32_t kFailuresThatTell = 3;
constexpr char kNotRepeated[] =
    "the race did not repeat: the two pieces of code access the same bytes, and neither a lock nor "
    "the recorded order keeps them apart";
constexpr char kNothingContested[] =
    "the race did not repeat: the accesses seen are those of an execution that went right";
constexpr int kMaxWrites = 256;  // held by the record; of an execution the last ones

// Code of the runtime and of libc only does what the server asked for: the frame that called it is
// the one meant.
bool is_server_code(const std::string& module) {
  const std::string base = module.substr(module.rfind('/') + 1);
  for (const char* library : {"libevenkeel.so", "libc.so", "libc-", "ld-linux", "libpthread",
                              "libstdc++.so", "libm.so"}) {
    if (base.starts_with(library)) return false;
  }
  return !module.empty();
}

class Experiment {
 public:
  Experiment(Lab& lab, const ExperimentLimits& limits)
      : lab_(lab),
        limits_(limits),
        started_ns_(monotonic_ns()),
        stacks_(lab.server_pid()),
        order_(lab.recorded_order()),
        races_(order_) {
    code_.read(lab.server_pid());
  }

  // Executes with what differs watched, threads changing places there.
  void watch_differences(std::span<const wire::WatchedRange> ranges) {
    lab_.watch(ranges);
    for (uint32_t i = 0; failures_ < kFailuresOfDifferences && !found() && may_go_on(1); ++i) {
      if (failures_ == 0 && i == kVainExecutions) return;
      execute(true);
    }
  }

  // What differs may only follow from what was raced for: looks, without disturbing it, what of the
  // pages that the batch writes to several threads access unordered.
  void explore() {
    std::vector<uint64_t> pages = lab_.written_pages();
    if (pages.size() > kMaxPages) pages.resize(kMaxPages);
    const std::span<const uint64_t> all(pages);
    for (size_t i = 0; i < pages.size() && may_go_on(3);) {
      // Globals are accessed all the time.
      const size_t count = lab_.is_global(pages[i]) ? 1 : kPagesAtOnce;
      const auto some = all.subspan(i, std::min(count, pages.size() - i));
      i += some.size();
      if (explore(some) || some.size() == 1) continue;
      // One that is accessed all the time hides what happens on the others.
      for (size_t k = 0; k < some.size() && may_go_on(3); ++k) (void)explore(some.subspan(k, 1));
    }
  }

  // Executes with those watched, as many at a time as can be.
  void force() {
    for (size_t i = 0; !contested_.empty() && may_go_on(4); i += wire::kMaxWatched) {
      if (i >= contested_.size()) {
        if (found()) return;
        i = 0;
      }
      std::vector<wire::WatchedRange> ranges;
      for (size_t k = i; k < std::min(i + wire::kMaxWatched, contested_.size()); ++k) {
        ranges.push_back({contested_[k] * kWordBytes, (contested_[k] + 1) * kWordBytes});
      }
      lab_.watch(ranges);
      execute(false);
    }
  }

  // The two pieces of code are known.
  [[nodiscard]] bool found() const {
    const auto race = races_.find();
    return race && race->concurrent && race->telling && race->failed >= kFailuresThatTell;
  }

  void finish(record::Diagnosis& out) {
    for (record::Write& write : writes_) *out.add_writes() = std::move(write);
    out.set_writes_left_out(left_out_);
    out.set_repeated_race(failures_ != 0);
    out.set_executions(executions_);
    out.set_duration_ns(monotonic_ns() - started_ns_);
    const auto race = races_.find();
    if (failures_ == 0) out.set_note(race ? kNotRepeated : kNothingContested);
    if (!race) return;
    *out.mutable_first_site() = frame(race->first);
    *out.mutable_second_site() = frame(race->second);
    auto [object, offset] = lab_.name(race->word * kWordBytes);
    *out.mutable_raced_object() = std::move(object);
    out.set_raced_offset(offset);
  }

 private:
  // Within as many quarters of the time.
  [[nodiscard]] bool may_go_on(uint32_t quarters) const {
    return executions_ < limits_.executions &&
           monotonic_ns() - started_ns_ < limits_.time_ns / 4 * quarters;
  }

  void execute(bool of_differences) {
    const bool failed = lab_.run_watched(Schedule::kRecorded, ++executions_);
    if (failed) ++failures_;
    races_.add(touches_of_execution(), failed, faulted());
    if (of_differences && (failed || !kept_failure_)) keep(executions_);
    kept_failure_ = kept_failure_ || failed;
  }

  // False: there were more accesses than are kept.
  bool explore(std::span<const uint64_t> pages) {
    std::vector<wire::WatchedRange> ranges;
    for (const uint64_t page : pages) ranges.push_back({page, page + kPageBytes});
    lab_.watch(ranges);
    ++executions_;
    const bool failed = lab_.run_watched(Schedule::kRecorded, 0);
    if (failed) ++failures_;
    const std::vector<Touch> touches = touches_of_execution();
    races_.add(touches, failed, faulted());
    for (const uint64_t word : contested_words(touches, order_)) {
      const bool known = std::find(contested_.begin(), contested_.end(), word) != contested_.end();
      if (!known && contested_.size() < kMaxContested) contested_.push_back(word);
    }
    return lab_.accesses_begin() == 0;
  }

  // Not the kernel's own: copies of what it is given, and what its locks consist of.
  [[nodiscard]] bool is_servers(const wire::Access& access) const {
    return access.runtime == 0 || (access.write != 0 && !order_.is_object(access.address));
  }

  // Accessed by more threads than one.
  std::set<uint64_t> shared_words() const {
    std::map<uint64_t, uint32_t> first;
    std::set<uint64_t> shared;
    const wire::Accesses& seen = lab_.accesses();
    for (uint64_t i = lab_.accesses_begin(); i < seen.count; ++i) {
      const wire::Access& access = seen.list[i % wire::kMaxAccesses];
      if (!is_servers(access)) continue;
      const uint64_t word = access.address / kWordBytes;
      if (first.try_emplace(word, access.thread).first->second != access.thread) {
        shared.insert(word);
      }
    }
    return shared;
  }

  // To what may have been raced for: to find a place in the code can cost a walk up the stack.
  [[nodiscard]] std::optional<uint32_t> faulted() const {
    const wire::Result& result = lab_.result();
    if (result.status != wire::Status::kFault) return std::nullopt;
    return result.fault_thread;
  }

  std::vector<Touch> touches_of_execution() {
    const std::set<uint64_t> shared = shared_words();
    std::vector<Touch> touches;
    const wire::Accesses& seen = lab_.accesses();
    for (uint64_t i = lab_.accesses_begin(); i < seen.count; ++i) {
      const wire::Access& access = seen.list[i % wire::kMaxAccesses];
      if (!is_servers(access) || !shared.contains(access.address / kWordBytes)) continue;
      const uint32_t locks = std::min(access.lock_count, wire::kAccessLocks);
      touches.push_back({access.address / kWordBytes,
                         access.write != 0,
                         site_of(access),
                         {access.thread, access.position, {access.locks, access.locks + locks}}});
    }
    return touches;
  }

  // The low bit tells a return address from an instruction.
  static uint64_t site(uint64_t address, bool is_return) {
    return address << 1 | (is_return ? 1 : 0);
  }
  const record::Frame& frame(uint64_t site) { return code_.frame_of(site >> 1, (site & 1) != 0); }

  uint64_t site_of(const wire::Access& access) {
    const uint64_t code = access.registers[wire::kDwarfRegisters - 1];
    if (is_meant(code, false)) return site(code, false);
    const std::vector<uint64_t> frames = stacks_.walk(access);
    for (size_t i = 1; i < frames.size(); ++i) {
      if (is_meant(frames[i], true)) return site(frames[i], true);
    }
    return site(code, false);
  }

  bool is_meant(uint64_t address, bool is_return) {
    return is_server_code(code_.frame_of(address, is_return).module()) &&
           !code_.in_standard_library(address, is_return);
  }

  void keep(uint32_t number) {
    writes_.clear();
    const wire::Accesses& seen = lab_.accesses();
    const uint64_t begin = std::max<uint64_t>(
        lab_.accesses_begin(), seen.count > kMaxWrites ? seen.count - kMaxWrites : 0);
    left_out_ = begin;
    for (uint64_t i = begin; i < seen.count; ++i) {
      add_write(seen.list[i % wire::kMaxAccesses], i + 1, number);
    }
  }

  void add_write(const wire::Access& access, uint64_t order, uint32_t number) {
    const wire::WatchedRange& range = lab_.deck().watch.ranges[access.range];
    const size_t bytes = std::min<size_t>(range.end - range.begin, sizeof access.before);
    record::Write& write = writes_.emplace_back();
    write.set_thread(access.thread);
    write.set_order(order);
    write.set_address(access.address);
    write.set_old_bytes(access.before, bytes);
    write.set_new_bytes(access.after, bytes);
    write.set_difference(access.range);
    write.set_execution(number);
    write.set_read(access.write == 0);
    const uint64_t code = access.registers[wire::kDwarfRegisters - 1];
    *write.mutable_code() = code_.frame_of(code, false);
    bool first = true;
    for (const uint64_t address : stacks_.walk(access)) {
      *write.mutable_stack()->add_frames() = code_.frame_of(address, !first);
      first = false;
    }
  }

  Lab& lab_;
  const ExperimentLimits& limits_;
  const uint64_t started_ns_;
  uint32_t executions_ = 0;
  uint32_t failures_ = 0;
  StackWalk stacks_;
  CodeMap code_;
  const RecordedOrder order_;
  RaceFinder races_;
  std::vector<uint64_t> contested_;
  std::vector<record::Write> writes_;  // of the last execution that failed, or else of the last
  uint64_t left_out_ = 0;
  bool kept_failure_ = false;
};

}  // namespace

// What follows from a race differs, too, often many times over (a wrong answer in each client's
// buffer): so one of each type and field first, then another of each.
std::vector<wire::WatchedRange> watched_ranges(const record::Report& report) {
  std::map<std::tuple<int, std::string, uint64_t, uint64_t>, uint32_t> alike;
  std::vector<std::pair<uint32_t, wire::WatchedRange>> found;  // with the number within its type
  for (const record::Difference& difference : report.differences()) {
    const record::Object& object = difference.object();
    const bool inside = object.kind() != record::Object::DATA;
    const uint64_t begin = object.address() + (inside ? difference.begin() : 0);
    const uint32_t number =
        alike[{object.kind(), object.symbol(), object.bytes(), difference.begin()}]++;
    found.push_back({number, {begin, begin + (difference.end() - difference.begin())}});
  }
  std::stable_sort(found.begin(), found.end(),
                   [](const auto& a, const auto& b) { return a.first < b.first; });
  std::vector<wire::WatchedRange> ranges;
  for (const auto& [number, range] : found) {
    if (ranges.size() < wire::kMaxWatched) ranges.push_back(range);
  }
  return ranges;
}

record::Diagnosis diagnose(Lab& lab, std::span<const wire::WatchedRange> ranges,
                           const ExperimentLimits& limits) {
  record::Diagnosis out;
  Experiment experiment(lab, limits);
  experiment.watch_differences(ranges);
  if (!experiment.found()) {
    experiment.explore();
    experiment.force();
  }
  experiment.finish(out);
  return out;
}

}  // namespace evenkeel::host
