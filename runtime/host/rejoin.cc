#include "runtime/host/rejoin.h"

#include <algorithm>

#include "runtime/host/clock.h"
#include "runtime/host/refusal.h"

namespace evenkeel::host {

bool RestartBudget::allows(uint64_t now_ns) const {
  const uint64_t oldest = spent_[next_];
  return oldest == 0 || now_ns - oldest > 60 * kNsPerSecond;
}

void RestartBudget::spend(uint64_t now_ns) {
  spent_[next_] = now_ns;
  next_ = (next_ + 1) % kRestartsPerMinute;
}

void Rejoin::look() {
  const uint64_t now = monotonic_ns();
  for (uint32_t i = 0; i < replicas_.count(); ++i) {
    if (!replicas_.live(i)) look_at(i, now);
  }
}

void Rejoin::look_at(uint32_t index, uint64_t now_ns) {
  Seat& seat = seats_[index];
  if (seat.lost_ns == 0) seat.lost_ns = now_ns;
  if (!seat.starting) {
    if (now_ns >= seat.not_before_ns) start(index, now_ns);
  } else if (replicas_.replacement_ended(index)) {
    failed(index, now_ns, replicas_.describe_end(index));
  } else if (deck_.replicas[index].admission.load(std::memory_order_acquire) == wire::kReady) {
    join(index, now_ns);
  } else if (now_ns - seat.started_ns > kStartTimeoutNs) {
    replicas_.kill(index);
  }
}

void Rejoin::start(uint32_t index, uint64_t now_ns) {
  Seat& seat = seats_[index];
  if (!budget_.allows(now_ns)) {
    if (!seat.refused) {
      say("replica {} is not replaced for now: {} replacements were started within a minute", index,
          RestartBudget::kRestartsPerMinute);
    }
    seat.refused = true;
    return;
  }
  budget_.spend(now_ns);
  seat.refused = false;
  try {
    replicas_.start_replacement(launch_, index);
  } catch (const Refusal& refusal) {
    return failed(index, now_ns, fmt::format("cannot be started ({})", refusal.what()));
  }
  seat.starting = true;
  seat.started_ns = now_ns;
}

void Rejoin::join(uint32_t index, uint64_t now_ns) {
  const bool joined = executor_.join(index);
  const uint64_t end = monotonic_ns();
  if (!joined) return failed(index, end, replicas_.describe_end(index));
  ++stats_.rejoins;
  stats_.join_ns += end - now_ns;
  say("replica {} is replaced after {} ms: it took replica {}'s state in {} ms", index,
      (end - seats_[index].lost_ns) / kNsPerMs, replicas_.primary(), (end - now_ns) / kNsPerMs);
  seats_[index] = Seat{};
}

void Rejoin::failed(uint32_t index, uint64_t now_ns, const std::string& how) {
  Seat& seat = seats_[index];
  seat.starting = false;
  const uint64_t pause = kFirstPauseNs << std::min(seat.failures, kMostDoublings);
  seat.not_before_ns = now_ns + pause;
  ++seat.failures;
  say("the replacement of replica {} {} before it had joined; another one in {} ms", index, how,
      pause / kNsPerMs);
}

}  // namespace evenkeel::host
