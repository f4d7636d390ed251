#include "runtime/host/experiment.h"

#include <algorithm>
#include <array>
#include <map>
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
// Where what differs is not what was raced for: so many of the pages that the batch changes.
constexpr size_t kMaxPages = 32;
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
  explicit Experiment(Lab& lab) : lab_(lab), stacks_(lab.server_pid()) {
    code_.read(lab.server_pid());
  }

  // The two pieces of code are known, and nothing harmless explains them.
  [[nodiscard]] bool found() const {
    const auto race = races_.find();
    return race && !race->serializable;
  }

  bool execute(uint32_t number, bool of_differences) {
    const bool failed = lab_.run_watched(Schedule::kRecorded, number);
    std::vector<Touch> touches;
    const wire::Accesses& seen = lab_.accesses();
    for (uint64_t i = lab_.accesses_begin(); i < seen.count; ++i) {
      const wire::Access& access = seen.list[i % wire::kMaxAccesses];
      if (access.write == 0 && access.runtime != 0) continue;  // copies for the kernel
      touches.push_back(
          {access.thread, access.address / kWordBytes, access.write != 0, site_of(access)});
    }
    races_.add(touches, failed);
    if (of_differences && (failed || !kept_failure_)) keep(number);
    kept_failure_ = kept_failure_ || failed;
    return failed;
  }

  void finish(record::Diagnosis& out) {
    for (record::Write& write : writes_) *out.add_writes() = std::move(write);
    out.set_writes_left_out(left_out_);
    const auto race = races_.find();
    if (!race) return;
    *out.mutable_first_site() = frame(race->first);
    *out.mutable_second_site() = frame(race->second);
  }

 private:
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
  StackWalk stacks_;
  CodeMap code_;
  RaceFinder races_;
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
  const uint64_t started = monotonic_ns();
  record::Diagnosis out;
  Experiment experiment(lab);
  uint32_t failures = 0;
  uint32_t executions = 0;
  const auto may_go_on = [&](uint64_t time_ns) {
    return executions < limits.executions && monotonic_ns() - started < time_ns;
  };
  lab.watch(ranges);
  while (failures < limits.failures && may_go_on(limits.time_ns / 2)) {
    if (experiment.execute(++executions, true)) ++failures;
  }
  if (!experiment.found()) {  // what differs only follows from what was raced for
    std::vector<uint64_t> pages = lab.changed_pages();
    if (pages.size() > kMaxPages) pages.resize(kMaxPages);
    for (size_t i = 0; !pages.empty() && may_go_on(limits.time_ns); ++i) {
      const uint64_t page = pages[i % pages.size()];
      lab.watch(std::array{wire::WatchedRange{page, page + kPageBytes}});
      if (experiment.execute(++executions, false)) ++failures;
    }
  }
  experiment.finish(out);
  out.set_repeated_race(failures != 0);
  out.set_executions(executions);
  if (failures == 0) {
    out.set_note(
        "the race did not repeat: the accesses seen are those of an execution that went right");
  }
  out.set_duration_ns(monotonic_ns() - started);
  return out;
}

}  // namespace evenkeel::host
