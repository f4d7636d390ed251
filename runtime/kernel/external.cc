#include "runtime/kernel/external.h"

#include <cstring>

#include "runtime/core/check.h"
#include "runtime/core/sys.h"
#include "runtime/kernel/kernel.h"
#include "runtime/sched/carrier.h"
#include "runtime/sched/clock.h"

namespace evenkeel::kernel {
namespace {

constexpr uint32_t kFree = 0;
constexpr uint32_t kPosted = 1;
constexpr uint32_t kAnswered = 2;

// One slot per replica: a second caller waits for the first. Runtime memory; held only while a
// carrier is inside external_call(), never over a suspension.
constinit std::atomic<uint32_t> g_slot_taken = 0;

void take_slot() {
  while (g_slot_taken.exchange(1, std::memory_order_acquire) != 0) {
    sys::futex_wait(g_slot_taken, 1).ignore();
  }
}
void free_slot() {
  g_slot_taken.store(0, std::memory_order_release);
  sys::futex_wake(g_slot_taken, 1).ignore();
}

void ring_doorbell() {
  deck().doorbell.fetch_add(1, std::memory_order_seq_cst);  // before coordinator_sleeps is read
  if (deck().coordinator_sleeps.load(std::memory_order_seq_cst) != 0) {
    sys::futex_wake(deck().doorbell, 1).ignore();
  }
}

uint32_t next_index(sched::Thread& thread) {
  const auto batch = static_cast<uint32_t>(sched::batch_time().batch);
  if (thread.external_batch != batch) {
    thread.external_batch = batch;
    thread.external_index = 0;
  }
  return thread.external_index++;
}

}  // namespace

long external_call(const External& call) {
  EVENKEEL_CHECK(call.in_bytes <= wire::kExternalBytes);
  EVENKEEL_CHECK(call.out_bytes <= wire::kExternalBytes);
  wire::ExternalCall& slot = replica().external;
  sched::Thread& thread = sched::self();
  take_slot();
  slot.op = call.op;
  slot.thread = sched::index_of(thread.id);
  slot.index = next_index(thread);
  slot.channel = call.channel;
  slot.value = call.value;
  slot.in_bytes = call.in_bytes;
  slot.out_bytes = 0;
  std::memcpy(slot.in, call.in, call.in_bytes);
  slot.state.store(kPosted, std::memory_order_release);  // pairs with the coordinator's acquire
  ring_doorbell();
  while (slot.state.load(std::memory_order_acquire) != kAnswered) {
    sys::futex_wait(slot.state, kPosted).ignore();
  }
  const long result = slot.result;
  if (call.out != nullptr) {
    std::memcpy(call.out, slot.out,
                slot.out_bytes < call.out_bytes ? slot.out_bytes : call.out_bytes);
  }
  slot.state.store(kFree, std::memory_order_release);
  free_slot();
  return result;
}

}  // namespace evenkeel::kernel
