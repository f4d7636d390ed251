#include "runtime/host/watchdog.h"

#include <signal.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <iterator>

namespace evenkeel::host {

void preempt(const wire::Deck& deck, const Replicas& replicas, uint32_t mask) {
  for_each_bit(mask, [&](uint32_t i) {
    const wire::Replica& replica = deck.replicas[i];
    const pid_t pid = replicas.server_pid(i);
    if (pid <= 0) return;
    // acquire: pairs with the carrier's release after it wrote its id.
    const auto carriers = std::min<size_t>(replica.carrier_count.load(std::memory_order_acquire),
                                           std::size(replica.carrier_tid));
    for (size_t c = 0; c < carriers; ++c) {
      // Fails only when the process has just died, which reap() sees.
      static_cast<void>(::syscall(SYS_tgkill, pid, replica.carrier_tid[c], SIGURG));
    }
  });
}

void stop(wire::Deck& deck, const Replicas& replicas, uint32_t mask, uint32_t sequence) {
  // release: before the signal's handler looks.
  for_each_bit(mask, [&](uint32_t i) {
    deck.replicas[i].stop_sequence.store(sequence, std::memory_order_release);
  });
  preempt(deck, replicas, mask);
}

}  // namespace evenkeel::host
