#include "runtime/host/coordinator.h"

#include <fcntl.h>
#include <sys/random.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <ctime>
#include <nlohmann/json.hpp>

#include "runtime/host/clock.h"
#include "runtime/host/mixer/choice.h"
#include "runtime/host/refusal.h"

namespace evenkeel::host {
namespace {

wire::Follower follower_of(const Options& options) {
  const bool recorded = options.order == wire::Order::kRecorded;
  return options.follower.value_or(recorded ? wire::Follower::kSerial : wire::Follower::kParallel);
}

uint64_t random_seed() {
  uint64_t seed = 0;
  // Fails only on kernels without it (before 3.17): the clock then has to do.
  if (::getrandom(&seed, sizeof seed, 0) != sizeof seed) seed = monotonic_ns();
  return seed;
}

record::Run run_of(const Options& options, const std::string& server_path) {
  record::Run run;
  run.set_name(options.name);
  run.set_version(EVENKEEL_VERSION);
  run.set_server(server_path);
  run.set_started_realtime_ns(realtime_ns());
  run.set_replicas(options.replicas);
  run.set_order(options.order == wire::Order::kRecorded ? "recorded" : "independent");
  run.set_follower(follower_of(options) == wire::Follower::kSerial ? "serial" : "parallel");
  return run;
}

// In the process that the user started: ends when the daemon is up, or as the daemon failed.
[[noreturn]] void wait_for_daemon(int pipe, pid_t daemon, const Signals& signals) {
  char up = 0;
  ssize_t bytes = 0;
  while ((bytes = ::read(pipe, &up, 1)) < 0 && errno == EINTR) {
    if (signals.pending_termination() != 0) ::kill(daemon, signals.pending_termination());
  }
  if (bytes == 1) ::_exit(0);
  int status = 0;
  while (::waitpid(daemon, &status, 0) < 0 && errno == EINTR) {
  }
  if (WIFSIGNALED(status)) die_by(WTERMSIG(status));
  ::_exit(WEXITSTATUS(status));
}

}  // namespace

Coordinator::Coordinator(const Options& options, std::string server_path,
                         std::vector<std::string> arguments, std::string library,
                         uint64_t open_files_soft)
    : options_(options),
      state_(StateDir::create(options)),
      signals_(deck_->doorbell),
      network_(connections_),
      externals_(connections_, network_),
      replicas_(*deck_, options.replicas),
      conductor_(*deck_, replicas_, externals_, signals_, stats_,
                 options.hang_timeout_s * kNsPerSecond),
      executor_(*deck_, replicas_, conductor_, externals_, stats_),
      evidence_(*deck_, replicas_, executor_, run_of(options, server_path)),
      release_(connections_, network_),
      reports_(state_.reports(), options.report_bytes),
      guard_(*deck_, stats_, options.guard, state_.path() / "guard.json"),
      diagnosis_({*deck_, replicas_, executor_, reports_, launch_}, options_),
      learning_(*deck_, replicas_, executor_, stats_, state_.path() / "mixer.learnt",
                options.mixer == kLearnName),
      repair_({*deck_, replicas_, executor_, evidence_, release_, connections_, reports_, stats_,
               guard_, diagnosis_, learning_},
              options),
      batch_(*deck_),
      mixer_(make_mixer(options, learning_.conflicts(), stats_)),
      admin_(state_),
      launch_{std::move(server_path), std::move(arguments), std::move(library), &deck_, &signals_,
              open_files_soft},
      rejoin_(*deck_, replicas_, executor_, stats_, launch_),
      live_view_(options.admin, *deck_, live_stats_, options.name, state_.reports()) {
  network_.watch(signals_.event_fd(), Source::kSignals);
  network_.watch(admin_.fd(), Source::kAdmin);
  conductor_.on_hang = [this] { repair_.report_hang(batch_); };
}

void Coordinator::fill_boot() {
  wire::Boot& boot = deck_->boot;
  boot = wire::Boot{};
  boot.magic = wire::kMagic;
  boot.version = wire::kVersion;
  boot.replica_count = options_.replicas;
  boot.order = options_.order;
  boot.follower = follower_of(options_);
  boot.mode = options_.mode;
  boot.tracker = options_.tracker;
  boot.guard = options_.guard;
  boot.false_conflicts = options_.false_conflicts;
  boot.missed_conflicts = options_.missed_conflicts;
  boot.reported_pid = ::getpid();
  boot.reported_ppid = ::getppid();
  boot.monotonic_ns = monotonic_ns();
  boot.realtime_ns = realtime_ns();
  boot.seed = random_seed();
  boot.hang_timeout_ns = options_.hang_timeout_s * kNsPerSecond;
  boot.daemonised = daemonised_ ? 1 : 0;
  boot.carriers = options_.carriers;
  boot.image_fd = deck_.image_fd();
  boot.verify = options_.replicas > 1 ? 1 : 0;
}

Ending Coordinator::run() {
  try {
    start_up();
    live_stats_.publish(stats_);
    live_view_.start();
    serve();
  } catch (const Ending& ending) {
    replicas_.kill_all();
    return ending;
  }
  return {};
}

// ---------------------------------------------------------------- start-up

void Coordinator::start_up() {
  while (!try_start_up()) {
  }
  guard_.started(replicas_.server_pid(replicas_.primary()));
  if (parent_.valid()) tell_parent_and_close_stdio();
}

bool Coordinator::try_start_up() {
  fill_boot();
  executor_.begin_start_up(started_sequentially_ || options_.mode == wire::Mode::kSequential);
  conductor_.start(launch_);
  switch (executor_.finish_start_up()) {
    case Verdict::kAgreed:
      repair_.release_agreed();
      return true;
    case Verdict::kExited:
      repair_.end_of_server();
    case Verdict::kDaemonise:
      go_into_background();
      return false;
    case Verdict::kAllFaulted:
      if (!repair_.deadlocked()) repair_.crash_through();
      restart_sequentially();
      return false;
    case Verdict::kDiverged:
      if (!started_sequentially_) {
        restart_sequentially();
        return false;
      }
      repair_.adopt_start_up();
      return true;
  }
  return true;
}

// There is no image yet to go back to, but nothing has been released either: begin anew.
void Coordinator::restart_sequentially() {
  ++stats_.divergences;
  ++stats_.reexecutions;
  Report report = evidence_.collect(record::DIVERGENCE, nullptr);
  report.add_actions("all replicas were ended and start-up was executed again, sequentially");
  report.set_outcome("nothing had been released");
  reports_.admit(report);
  reports_.save(report, Durability::kMachine);
  replicas_.kill_all();
  externals_.reset();
  deck_.clear();
  started_sequentially_ = true;
}

// The server's fork() cannot be followed, but it has not listened yet: the whole run forks instead
// and starts anew in the child, where fork() returns 0.
void Coordinator::go_into_background() {
  replicas_.kill_all();
  externals_.reset();
  int ends[2];
  if (::pipe2(ends, O_CLOEXEC) != 0) throw Ending{kExitUsage, 0};
  Fd reader(ends[0]);
  parent_.reset(ends[1]);
  const pid_t child = ::fork();
  if (child < 0) {
    say("cannot go into the background: {}", std::strerror(errno));
    throw Ending{kExitUsage, 0};
  }
  if (child != 0) {
    parent_.reset();
    wait_for_daemon(reader.get(), child, signals_);
  }
  ::setsid();
  daemonised_ = true;
  started_sequentially_ = false;
  deck_.clear();
}

void Coordinator::tell_parent_and_close_stdio() {
  const char up = 1;
  [[maybe_unused]] const ssize_t told = ::write(parent_.get(), &up, 1);
  parent_.reset();
  // Whoever started us may wait for the end of our output; what we still have to say goes to a
  // file.
  const int log = ::open((state_.path() / "daemon.log").c_str(),
                         O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
  const int null = ::open("/dev/null", O_RDONLY | O_CLOEXEC);
  if (null >= 0) ::dup2(null, 0);
  if (log >= 0) {
    ::dup2(log, 1);
    ::dup2(log, 2);
  }
  ::close(log);
  ::close(null);
}

// ---------------------------------------------------------------- batches

void Coordinator::serve() {
  for (;;) {
    gather();
    rejoin_.attend();
    diagnosis_.attend();
    const bool due = executor_.choked() || executor_.next_deadline_ns() <= woke_ns_;
    if (batch_.urgent() || due) run_batch(woke_ns_);
  }
}

uint64_t Coordinator::patience_ns() const {
  if (batch_.urgent() || executor_.choked()) return 0;
  const uint64_t deadline = executor_.next_deadline_ns();
  const uint64_t patience = std::min(rejoin_.patience_ns(), diagnosis_.patience_ns());
  if (deadline == UINT64_MAX) return patience;
  const uint64_t now = monotonic_ns();
  return deadline > now ? std::min(deadline - now, patience) : 0;
}

void Coordinator::gather() {
  connections_.deliver_notes(batch_);
  const uint64_t started = monotonic_ns();
  uint32_t others = network_.gather(batch_, patience_ns(), woke_ns_);
  const uint64_t woke = woke_ns_;
  others |= look_again();
  stats_.idle_ns += woke - started;
  stats_.read_ns += monotonic_ns() - woke;
  if (others != 0) [[unlikely]]
    attend(others);
}

// A batch costs the replicas much that does not depend on its size. Clients that just got their
// answers are about to ask again, but need a processor and a moment to do so: as long as fewer have
// asked than of late, and more keep coming, they get both.
uint32_t Coordinator::look_again() {
  uint32_t others = 0;
  for (int i = 0; i < kSecondLooks && batch_.requests() * 8 < usual_requests_ * 7; ++i) {
    if (batch_.count() == 0) break;
    const uint32_t before = batch_.count();
    const timespec nap{0, kNapNs};
    ::clock_nanosleep(CLOCK_MONOTONIC, 0, &nap, nullptr);  // a signal may end it early
    others |= network_.gather(batch_, 0, woke_ns_);
    if (batch_.count() == before) break;
  }
  return others;
}

void Coordinator::attend(uint32_t sources) {
  if ((sources & 1U << static_cast<uint32_t>(Source::kSignals)) != 0) {
    // Without room they stay pending, and the eventfd readable.
    for (uint64_t s = batch_.has_room() ? signals_.take() : 0; s != 0; s &= s - 1) {
      batch_.add_signal(__builtin_ctzll(s));
    }
    conductor_.look_after_children();
    if (const int signal = signals_.impatient(); signal != 0) throw Ending{0, signal};
  }
  if ((sources & 1U << static_cast<uint32_t>(Source::kAdmin)) != 0) {
    admin_.answer(status_json(*deck_, replicas_, stats_, options_.name));
  }
}

void Coordinator::run_batch(uint64_t now_ns) {
  const bool timers_expired = executor_.next_deadline_ns() <= now_ns;
  ++stats_.batches;
  stats_.requests += batch_.requests();
  usual_requests_ = std::max(batch_.requests(), usual_requests_ - (usual_requests_ + 63) / 64);
  executor_.begin_batch(now_ns);
  const uint64_t started = monotonic_ns();
  if (options_.mode == wire::Mode::kSequential) {
    repair_.run_sequentially(batch_, timers_expired);
  } else {
    mix();
    execute_in_parallel();
  }
  count_batch(started);
  batch_.clear();
}

void Coordinator::mix() {
  if (mixer_ == nullptr) return;
  const uint64_t started = monotonic_ns();
  learning_.next_batch();
  mixer_->group(batch_);
  stats_.mix_ns += monotonic_ns() - started;
}

void Coordinator::count_batch(uint64_t started_ns) {
  stats_.batch_ns.add(monotonic_ns() - started_ns);
  uint32_t first = 0;
  for (uint32_t i = 1; i <= batch_.count(); ++i) {
    if (i < batch_.count() && batch_.input(i).group == batch_.input(first).group) continue;
    stats_.group_inputs.add(i - first);
    first = i;
  }
  stats_.primary = replicas_.primary();
  live_stats_.publish(stats_);
}

void Coordinator::maybe_inject_crash() {
  if (options_.inject_crash == 0 || chance_() % options_.inject_crash != 0) return;
  // Most inputs cause a call or two.
  const auto call = static_cast<uint32_t>(1 + chance_() % (1 + batch_.count()));
  executor_.crash_next(call, static_cast<uint32_t>(chance_() % replicas_.count()));
}

void Coordinator::execute_in_parallel() {
  maybe_inject_crash();
  const bool forced =
      options_.force_mismatch != 0 && executor_.batch() % options_.force_mismatch == 0;
  const Verdict verdict = executor_.execute(0, batch_.count(), false, forced);
  if (verdict != Verdict::kAgreed || forced) [[unlikely]] {
    repair_.repair(batch_, verdict, forced);
    return;
  }
  if (guard_.suspects(replicas_.primary())) [[unlikely]] {
    repair_.recheck_interleavings(batch_);
    return;
  }
  if (repair_.suspects_lost_wakeup(batch_)) [[unlikely]] {
    repair_.recheck_wakeups(batch_);
    return;
  }
  const uint64_t started = monotonic_ns();
  const uint32_t primary = replicas_.primary();
  const uint64_t bytes = executor_.result(primary).output_bytes;
  repair_.release_agreed();
  deck_.trim_outputs(primary, bytes);
  stats_.release_ns += monotonic_ns() - started;
}

}  // namespace evenkeel::host
