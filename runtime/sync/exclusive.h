#pragma once
// The algorithm of locks with one owner: mutexes and spin locks.
//
// State 0 is free, 1 held, 2 held and somebody waits; while the replica is quiescent it is exactly
// that. Three rules keep it so:
//   1. 0 -> 1 and 1 -> 0 are compare-exchanges that anybody may do at any time.
//   2. All other transitions happen under the kernel lock, 1 -> 2 as a compare-exchange (it
//   competes
//      with rule 1), those from 2 as plain stores (nobody else can change a 2).
//   3. A lock in state 2 is never freed: unlocking hands it to the first waiter, who wakes up
//   owning
//      it, and sets 2 or 1 by whether others wait.
// Memory order: the taker's acquire (rule 1, or the kernel lock under which a waiter was handed the
// lock and resumed) pairs with the releaser's release (1 -> 0) or kernel lock (hand-off).
//
// Only the acquisition is an ordered operation. An unlock needs no order: who comes next is decided
// by the versions that the acquisitions saw. So arrivals in the wait queue have no order either,
// and a follower's thread waits for its turn before it competes for the lock. A thread that in the
// primary was still waiting at quiescence has no acquisition in the log, but an entry that says so
// (Turn::kBlocked); it joins the wait queue when all others are parked.
//
// A lock type L has: kTag; kWait, the kind of a wait for it; version() the word, passed() its
// ordered operation; take() 0 -> 1; contended() state is 2; mark() under the kernel lock, 1 -> 2,
// or false if it took the lock; uncontend() 2 -> 1; release() 1 -> 0, false if the state is 2;
// assign(waiters) 2 -> 1 or 2; set_owner(number); key().
#include "runtime/sched/acquisitions.h"
#include "runtime/sched/carrier.h"
#include "runtime/sched/lock.h"
#include "runtime/sched/order.h"
#include "runtime/sync/deadline.h"
#include "runtime/sync/self.h"

namespace evenkeel::sync {

// Parking costs two context switches and a futex wake-up, 2 to 10 us; a critical section is mostly
// over in less than a microsecond. Where one thread runs at a time the holder cannot get on.
constexpr int kSpins = 100;

template <typename L>
bool spin_for(L& lock) {
  if (sched::serial()) return false;
  for (int i = 0; i < kSpins && !lock.contended(); ++i) {
    if (lock.take()) return true;
    __builtin_ia32_pause();
  }
  return false;
}

enum class Parked { kTaken, kHandedOver, kTimeout, kAgain };

// A waiter left without the lock: nobody may be waiting now.
template <typename L>
void leave_queue(L& lock) {
  sched::Guard guard;
  if (lock.contended() && sched::first_waiter(lock.key()) == nullptr) lock.uncontend();
}

template <typename L>
Parked park(L& lock, uint64_t deadline_ns) {
  sched::lock();
  if (!lock.mark()) {
    sched::unlock();
    return Parked::kTaken;
  }
  sched::Thread& me = sched::self();
  sched::enqueue_unordered_waiter(me, lock.key(), deadline_ns, static_cast<uint32_t>(L::kTag));
  sched::describe_wait(me, L::kWait);
  sched::suspend_locked();
  if (me.wake == sched::Wake::kWoken) return Parked::kHandedOver;
  leave_queue(lock);
  return me.wake == sched::Wake::kTimeout ? Parked::kTimeout : Parked::kAgain;
}

// The lock is busy and the caller may not wait.
template <typename L>
int give_up(int error, bool log) {
  if (log) sched::log_failure(L::kTag);
  if (sched::serial()) sched::yield();  // the caller may try again until the holder has got on
  return error;
}

// Before there are carriers.
template <typename L>
int acquire_alone(L& lock, Deadline deadline) {
  if (lock.take()) {
    lock.set_owner(self_number());
    return 0;
  }
  if (deadline.for_ever()) block_alone("lock", lock.key());
  return deadline.may_wait() ? ETIMEDOUT : deadline.error;
}

template <typename L>
int acquire(L& lock, Deadline deadline) {
  if (!sched::started()) return acquire_alone(lock, deadline);
  for (;;) {
    const sched::Turn turn = sched::await_outcome(lock.version(), L::kTag);
    if (turn == sched::Turn::kFailed) {
      if (deadline.may_wait()) sched::diverge();  // such an operation logs no failure
      return give_up<L>(deadline.error, false);
    }
    const bool blocked = turn == sched::Turn::kBlocked;
    if (!blocked && (lock.take() || spin_for(lock))) break;
    const bool due = turn == sched::Turn::kDue;
    if (!due && !deadline.may_wait()) {
      if (blocked) sched::diverge();  // such an operation never blocks
      return give_up<L>(deadline.error, true);
    }
    const Parked parked = park(lock, due ? sched::kNoDeadline : deadline.monotonic_ns);
    if (parked == Parked::kTaken) {
      if (blocked) sched::diverge();
      break;
    }
    if (parked == Parked::kTimeout) return ETIMEDOUT;
    if (parked == Parked::kAgain) continue;
    // Handed over. One who waited since an earlier batch has not seen his turn yet.
    sched::await_turn(lock.version(), L::kTag);
    break;
  }
  lock.set_owner(self_number());
  sched::took_lock(lock.version());
  lock.passed();
  sched::acquired(lock.version(), false);
  return 0;
}

// Kernel lock held, state is 2.
template <typename L>
void hand_over(L& lock) {
  sched::Thread* next = sched::first_waiter(lock.key());
  if (next == nullptr) {  // the last waiter timed out and has not run since
    lock.uncontend();
    static_cast<void>(lock.release());
    return;
  }
  lock.set_owner(number_of(*next));
  lock.assign(sched::next_waiter(*next) != nullptr);
  sched::wake_thread(*next, sched::Wake::kWoken);
}

// The owner word is zero already. The caller must not touch the lock afterwards: the next owner may
// destroy it.
template <typename L>
void give_back(L& lock) {
  sched::gives_lock(lock.version());
  if (lock.release()) [[likely]]
    return;
  sched::Guard guard;
  if (!lock.release()) hand_over(lock);
}

}  // namespace evenkeel::sync
