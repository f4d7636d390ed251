#include "runtime/host/lab.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cstring>

#include "runtime/host/clock.h"
#include "runtime/host/evidence.h"
#include "runtime/host/futex.h"
#include "runtime/host/refusal.h"

namespace evenkeel::host {
namespace {

uint64_t hang_timeout_ns(const StateFile& state, Patience patience) {
  constexpr uint64_t kFactor = 3;  // each access to a watched page costs two signals
  if (patience == Patience::kEndless) return uint64_t{365 * 24 * 3600} * kNsPerSecond;
  return state.text().at("hang_timeout_s").get<uint64_t>() * kNsPerSecond * kFactor;
}

uint32_t count_of(const StateFile& state) {
  return state.text().at("replicas").get<uint32_t>() > 1 ? 2 : 1;
}

// For as long as the process lives: `environ` points into it.
void take_environment(const std::vector<std::string>& variables) {
  static std::vector<std::string> kept;
  static std::vector<char*> pointers;
  kept = variables;
  pointers.clear();
  for (std::string& variable : kept) pointers.push_back(variable.data());
  pointers.push_back(nullptr);
  environ = pointers.data();
}

Launch launch_of(const nlohmann::json& text, const Deck& deck, const Signals& signals) {
  return {text.at("server").get<std::string>(),
          text.at("arguments").get<std::vector<std::string>>(),
          text.at("library").get<std::string>(),
          &deck,
          &signals,
          text.at("open_files").get<uint64_t>()};
}

}  // namespace

Lab::Lab(const StateFile& state, Patience patience)
    : state_(state),
      signals_(deck_->doorbell),
      network_(connections_),
      externals_(connections_, network_),
      replicas_(*deck_, count_of(state)),
      conductor_(*deck_, replicas_, externals_, signals_, stats_, hang_timeout_ns(state, patience)),
      executor_(*deck_, replicas_, conductor_, externals_, stats_),
      launch_(launch_of(state.text(), deck_, signals_)),
      state_fd_(::fcntl(state.fd(), F_DUPFD, StateFile::kHighFd)) {
  if (!state_fd_.valid()) throw Refusal(1, std::strerror(errno), "raise ulimit -n");
  externals_.go_offline();
  take_environment(state.text().at("environment").get<std::vector<std::string>>());
  open_files();
  start();
}

// Under the numbers that they had, for the replicas to take from here.
void Lab::open_files() {
  const auto& text = state_.text();
  // Relative paths of a server that is there no more fail, as they would have.
  [[maybe_unused]] const int entered = ::chdir(text.at("directory").get<std::string>().c_str());
  ::umask(text.at("umask").get<mode_t>());
  for (const auto& file : text.at("files")) {
    const int number = file.at("fd").get<int>();
    const Fd fd(::open(file.at("path").get<std::string>().c_str(), O_RDONLY | O_CLOEXEC));
    if (fd.valid() && number > STDERR_FILENO && ::fcntl(number, F_GETFD) < 0) {
      ::dup3(fd.get(), number, O_CLOEXEC);
    }
  }
}

void Lab::start() {
  replicas_.kill_all();
  deck_.clear();
  state_.load(*deck_);
  command_ = deck_->command;
  input_count_ = state_.text().at("inputs").get<uint32_t>();
  log_.clear();
  const uint32_t sequence = state_.text().at("sequence").get<uint32_t>();
  for (uint32_t i = 0; i < wire::kMaxThreads; ++i) {
    const uint64_t published = deck_->log.thread[i].published.load();
    if (published >> 32 == sequence) log_.push_back({i, static_cast<uint32_t>(published)});
  }
  wire::Boot& boot = deck_->boot;
  boot.replica_count = replicas_.count();
  // One replica alone inherits it, and shares it with nobody either.
  boot.image_fd = replicas_.count() == 1 ? deck_.image_fd() : -1;
  boot.offline = 1;
  boot.state_fd = state_fd_.get();
  boot.guard = wire::Guard::kOff;
  wire::Replica& source = deck_->replicas[kSourceSeat];
  source.pid = ::getpid();
  source.result.token = source.frozen_token;
  deck_->command = wire::Command{};
  deck_->command.primary = kSourceSeat;
  conductor_.begin(sequence);
  for (uint32_t i = 0; i < replicas_.count(); ++i) start_replica(i);
  for (uint32_t i = 0; i < replicas_.count(); ++i) take_state(i);
  replicas_.set_primary(0);
  log_overwritten_ = dirty_ = false;
}

void Lab::start_replica(uint32_t index) {
  replicas_.start_replacement(launch_, index);
  const uint64_t deadline = monotonic_ns() + kStartTimeoutNs;
  while (deck_->replicas[index].admission.load(std::memory_order_acquire) != wire::kReady) {
    if (replicas_.replacement_ended(index) || monotonic_ns() > deadline) {
      throw Refusal(1, "the server does not start from the stored state",
                    "is everything as it was where the bundle was made?");
    }
    const uint32_t ring = deck_->doorbell.load();
    deck_->coordinator_sleeps.store(1);
    futex_wait(deck_->doorbell, ring, kNsPerMs);
    deck_->coordinator_sleeps.store(0);
  }
}

void Lab::take_state(uint32_t index) {
  replicas_.set_primary(kSourceSeat);
  deck_->replicas[kSourceSeat].done_sequence.store(conductor_.next_sequence());
  if (executor_.join(index)) return;
  throw Refusal(1, "the server cannot take the stored state",
                "is everything as it was where the bundle was made?");
}

bool Lab::is_global(uint64_t address) const {
  const wire::Replica& replica = deck_->replicas[0];
  const uint32_t count = std::min(replica.region_count.load(), wire::kMaxRegions);
  return std::any_of(replica.regions, replica.regions + count, [&](const wire::Region& region) {
    return address >= region.begin && address < region.end;
  });
}

std::pair<record::Object, uint64_t> Lab::name(uint64_t address) {
  if (dirty_) start();
  deck_->command.watch = 0;
  (void)execute_once(Schedule::kRecorded);
  auto found = Evidence(*deck_, replicas_, executor_, {}).name(address);
  executor_.disagree();
  return found;
}

RecordedOrder Lab::recorded_order() {
  if (log_overwritten_) state_.load_log(*deck_);
  return {deck_->log, log_};
}

void Lab::watch(std::span<const wire::WatchedRange> ranges) {
  const size_t count = std::min<size_t>(ranges.size(), wire::kMaxWatched);
  std::copy_n(ranges.begin(), count, deck_->watch.ranges);
  deck_->watch.count = static_cast<uint32_t>(count);
}

uint64_t Lab::accesses_begin() const {
  const uint64_t count = accesses().count;
  return count > wire::kMaxAccesses ? count - wire::kMaxAccesses : 0;
}

void Lab::stamp_log(uint32_t sequence) {
  if (log_overwritten_) {  // loads all of the deck: what is the replicas' own does not change
    state_.load_log(*deck_);
    log_overwritten_ = false;
  }
  for (const auto& [thread, entries] : log_) {
    deck_->log.thread[thread].published.store(uint64_t{sequence} << 32 | entries);
  }
}

bool Lab::run(Schedule schedule) {
  if (dirty_) start();
  deck_->command.watch = 0;
  return execute(schedule);
}

bool Lab::run_watched(Schedule schedule, uint64_t seed) {
  if (dirty_) start();
  deck_->command.watch = 1;
  deck_->watch.seed = seed * 0x9e3779b97f4a7c15;  // Fibonacci hashing: neighbours differ widely
  const bool failed = execute(schedule);
  deck_->command.watch = 0;
  return failed;
}

bool Lab::execute(Schedule schedule) {
  if (schedule == Schedule::kSequential) return run_sequentially();
  const Verdict verdict = execute_once(schedule);
  executor_.disagree();
  return verdict != Verdict::kAgreed && verdict != Verdict::kExited;
}

// Globals lie below the heap.
std::vector<uint64_t> Lab::written_pages() {
  deck_->watch.count = 0;
  (void)run_watched(Schedule::kRecorded, 0);
  const wire::Accesses& seen = accesses();
  const uint32_t count = std::min(seen.written_count, wire::kMaxWritten);
  std::vector<uint64_t> pages(seen.written, seen.written + count);
  std::sort(pages.begin(), pages.end());
  return pages;
}

void Lab::prepare_command() {
  const uint32_t watch = deck_->command.watch;
  const uint32_t primary = deck_->command.primary;
  deck_->command = command_;  // number, times and seed of the batch
  deck_->command.primary = primary;
  deck_->command.watch = watch;
}

Verdict Lab::execute_once(Schedule schedule) {
  prepare_command();
  deck_->command.follow_log = schedule == Schedule::kRecorded ? 1 : 0;
  if (schedule == Schedule::kRecorded) {
    stamp_log(conductor_.next_sequence());
  } else {
    log_overwritten_ = true;
  }
  return executor_.execute(0, input_count_, false, false);
}

bool Lab::run_sequentially() {
  prepare_command();
  dirty_ = log_overwritten_ = true;
  if (executor_.execute(0, 0, true, false) != Verdict::kAgreed) return true;
  for (uint32_t i = 0; i < input_count_; ++i) {
    executor_.agree();
    if (executor_.execute(i, 1, true, false) != Verdict::kAgreed) return true;
  }
  return false;
}

std::string Lab::describe() const {
  const wire::Result& first = executor_.result(0);
  for (uint32_t i = 0; i < replicas_.count(); ++i) {
    const wire::Result& result = executor_.result(i);
    if (result.status == wire::Status::kFault) {
      return fmt::format("replica {}: {}", i, ::strsignal(result.fault_signal));
    }
    if (result.status == wire::Status::kDeadlock) return fmt::format("replica {} deadlocks", i);
    if (result.status == wire::Status::kHang) return fmt::format("replica {} hangs", i);
    if (result.status == wire::Status::kDiverged) {
      return fmt::format("replica {} leaves the recorded order", i);
    }
    if (!(result.token == first.token)) return fmt::format("replica {} differs", i);
  }
  return "no difference";
}

}  // namespace evenkeel::host
