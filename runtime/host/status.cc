#include "runtime/host/status.h"

#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <iterator>
#include <map>
#include <nlohmann/json.hpp>

#include "runtime/host/clock.h"
#include "runtime/host/refusal.h"
#include "runtime/host/syscall_names.h"
#include "runtime/wire_requests.h"

namespace evenkeel::host {
namespace {

using nlohmann::json;

constexpr uint64_t kClientTimeoutS = 5;

struct CounterName {
  wire::Counter counter;
  const char* name;
};

constexpr CounterName kCounterNames[] = {
    {wire::kCountBatches, "executions"},
    {wire::kCountDirtyPages, "written_pages"},
    {wire::kCountUnchangedPages, "unchanged_pages"},
    {wire::kCountHotPages, "hot_pages"},
    {wire::kCountOrderedOps, "ordered_operations"},
    {wire::kCountSwitches, "thread_switches"},
    {wire::kCountDispatchedCalls, "dispatched_calls"},
    {wire::kCountRollbacks, "rollbacks"},
    {wire::kCountLogOverflows, "log_overflows"},
    {wire::kTimeExecute, "execute_ns"},
    {wire::kTimeLogWait, "log_wait_ns"},
    {wire::kTimeScan, "scan_ns"},
    {wire::kTimeHash, "hash_ns"},
    {wire::kTimeCommit, "commit_ns"},
    {wire::kTimeRollback, "rollback_ns"},
    {wire::kTimeIdle, "idle_ns"},
    {wire::kCountRequestGroups, "request_groups"},
    {wire::kCountAnnotatedRequests, "annotated_requests"},
};

// Every replica meets the same calls, so the largest count is the server's; a follower that was
// rolled back more often than the primary does not add to it.
json unhandled_calls(const wire::Deck& deck, uint32_t count) {
  std::map<std::string, uint64_t> calls;
  const auto raise = [&](const std::string& name, uint64_t value) {
    if (value != 0) calls[name] = std::max(calls[name], value);
  };
  for (uint32_t i = 0; i < count; ++i) {
    const wire::Replica& replica = deck.replicas[i];
    for (uint32_t n = 0; n < wire::kMaxSyscalls; ++n) {
      const uint64_t value = replica.unhandled_syscalls[n].load(std::memory_order_relaxed);
      if (value != 0) raise(syscall_name(n), value);
    }
    for (const wire::UnhandledName& entry : replica.unhandled_names) {
      // acquire: the name was written before the count left zero.
      const uint64_t value = entry.count.load(std::memory_order_acquire);
      if (value != 0)
        raise(std::string(entry.name, ::strnlen(entry.name, sizeof entry.name)), value);
    }
  }
  return calls;
}

json replica_breakdown(const wire::Replica& replica) {
  json out = json::object();
  for (const CounterName& row : kCounterNames) {
    out[row.name] = replica.counters[row.counter].load(std::memory_order_relaxed);
  }
  return out;
}

uint64_t to_ns(const timeval& time) {
  return static_cast<uint64_t>(time.tv_sec) * kNsPerSecond +
         static_cast<uint64_t>(time.tv_usec) * 1000;
}

json coordinator_breakdown(const Stats& stats) {
  rusage usage{};
  ::getrusage(RUSAGE_SELF, &usage);
  return {{"idle_ns", stats.idle_ns},         {"read_ns", stats.read_ns},
          {"wait_ns", stats.wait_ns},         {"release_ns", stats.release_ns},
          {"mix_ns", stats.mix_ns},           {"join_ns", stats.join_ns},
          {"user_ns", to_ns(usage.ru_utime)}, {"system_ns", to_ns(usage.ru_stime)}};
}

json breakdown(const wire::Deck& deck, const Replicas& replicas, const Stats& stats) {
  json list = json::array();
  for (uint32_t i = 0; i < replicas.count(); ++i) {
    json entry = replica_breakdown(deck.replicas[i]);
    entry["replica"] = i;
    entry["live"] = replicas.live(i);
    entry["pid"] = std::max(0, replicas.server_pid(i));
    list.push_back(std::move(entry));
  }
  return {{"coordinator", coordinator_breakdown(stats)}, {"replicas", list}};
}

}  // namespace

json status_json(const wire::Deck& deck, const Replicas& replicas, const Stats& stats,
                 const std::string& name) {
  return {{"name", name},
          {"pid", static_cast<int>(::getpid())},
          {"replicas", replicas.count()},
          {"replicas_live", replicas.live_count()},
          {"primary", replicas.primary()},
          {"batches", stats.batches},
          {"requests", stats.requests},
          {"divergences", stats.divergences},
          {"forced_divergences", stats.forced},
          {"rollbacks", stats.rollbacks},
          {"reexecutions", stats.reexecutions},
          {"leaks", stats.leaks},
          {"faults", stats.faults},
          {"poisoned_inputs", stats.poisoned},
          {"rejoins", stats.rejoins},
          {"deadlocks", stats.deadlocks},
          {"lost_wakeups", stats.lost_wakeups},
          {"suspected_waits", stats.suspected_waits},
          {"suspects", stats.suspects},
          {"guard_learnt", stats.guard_learnt},
          {"guard_unchecked_groups", stats.guard_unchecked},
          {"mixer_groups", stats.groups},
          {"mixer_requests", stats.mixed_requests},
          {"mixer_unknown", stats.unknown_footprints},
          {"mixer_learnt", stats.mixer_learnt},
          {"dirty_pages", stats.dirty_pages},
          {"unhandled_calls", unhandled_calls(deck, replicas.count())},
          {"breakdown", breakdown(deck, replicas, stats)}};
}

std::string status_text(const json& status) {
  std::string out;
  for (const auto& [key, value] : status.items()) {
    if (value.is_structured()) continue;
    fmt::format_to(std::back_inserter(out), "{:<20} {}\n", key,
                   value.is_string() ? value.get<std::string>() : value.dump());
  }
  for (const auto& [name, count] : status.at("unhandled_calls").items()) {
    fmt::format_to(std::back_inserter(out), "{:<20} {} {}\n", "unhandled", name, count.dump());
  }
  return out;
}

AdminEndpoint::AdminEndpoint(const StateDir& state)
    : address_(state.admin_address()),
      socket_(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0)) {
  ::unlink(address_.sun_path);  // of a run that was killed: the lock is ours
  if (::bind(socket_.get(), reinterpret_cast<const sockaddr*>(&address_), sizeof address_) != 0 ||
      ::listen(socket_.get(), 8) != 0) {
    throw Refusal(kExitUsage,
                  fmt::format("the status socket in {} cannot be made: {}", state.path().string(),
                              std::strerror(errno)),
                  "choose another directory with --state-dir DIR");
  }
}

AdminEndpoint::~AdminEndpoint() { ::unlink(address_.sun_path); }

void AdminEndpoint::answer(const json& status) {
  const Fd client(::accept4(socket_.get(), nullptr, nullptr, SOCK_CLOEXEC | SOCK_NONBLOCK));
  if (!client.valid()) return;
  const std::string text = status.dump();
  // A few KiB always fit into an empty Unix socket; who hangs up first does not get it.
  [[maybe_unused]] const ssize_t sent =
      ::send(client.get(), text.data(), text.size(), MSG_NOSIGNAL);
}

json query_status(const StateDir& state) {
  const Fd socket(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
  const timeval timeout{kClientTimeoutS, 0};
  ::setsockopt(socket.get(), SOL_SOCKET, SO_RCVTIMEO, &timeout, sizeof timeout);
  const sockaddr_un address = state.admin_address();
  if (::connect(socket.get(), reinterpret_cast<const sockaddr*>(&address), sizeof address) != 0) {
    throw Refusal(
        1, fmt::format("{} is not running", state.name()),
        fmt::format("its reports are still there: evenkeel report list --name {}", state.name()));
  }
  std::string text;
  std::array<char, 65536> buffer;
  for (;;) {
    const ssize_t bytes = ::recv(socket.get(), buffer.data(), buffer.size(), 0);
    if (bytes == 0) break;
    if (bytes < 0) {
      throw Refusal(1, fmt::format("{} does not answer within {} s", state.name(), kClientTimeoutS),
                    "it may be busy with one long batch: try again");
    }
    text.append(buffer.data(), static_cast<size_t>(bytes));
  }
  return json::parse(text);
}

}  // namespace evenkeel::host
