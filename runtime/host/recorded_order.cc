#include "runtime/host/recorded_order.h"

#include <algorithm>

#include "runtime/host/operations.h"

namespace evenkeel::host {
namespace {

constexpr uint32_t kVersionMask = 0xff'ffff;
// The largest object that has a version word: pthread_rwlock_t and pthread_cond_t on x86-64.
constexpr uint64_t kObjectBytes = 56;

bool share_a_lock(const Moment& a, const Moment& b) {
  return std::any_of(a.locks.begin(), a.locks.end(), [&](uint64_t lock) {
    return std::find(b.locks.begin(), b.locks.end(), lock) != b.locks.end();
  });
}

std::vector<RecordedOrder::Operation> operations_of(const wire::OrderLog& log,
                                                    const wire::ThreadLog& thread, uint32_t count) {
  std::vector<RecordedOrder::Operation> operations;
  constexpr uint32_t kMaxEntries = wire::kMaxThreadSegments * wire::kSegmentEntries;
  for (uint32_t i = 0; i < std::min(count, kMaxEntries); ++i) {
    const uint32_t segment = thread.segment[i / wire::kSegmentEntries];
    if (segment >= wire::kMaxSegments) break;
    const wire::OrderEntry& entry = log.entry[segment][i % wire::kSegmentEntries];
    operations.push_back({entry.object, entry.what >> 8, orders_program(entry.what)});
  }
  return operations;
}

}  // namespace

RecordedOrder::RecordedOrder(const wire::OrderLog& log, std::span<const Length> lengths) {
  for (const auto& [thread, entries] : lengths) {
    add_thread(thread, operations_of(log, log.thread[thread], entries));
  }
  finish();
}

void RecordedOrder::add_thread(uint32_t thread, std::vector<Operation> operations) {
  const auto index = static_cast<uint32_t>(threads_.size());
  index_[thread] = index;
  for (uint32_t i = 0; i < operations.size(); ++i) {
    const Operation& operation = operations[i];
    if (operation.object != 0) turns_[{operation.object, operation.version}] = {index, i};
  }
  threads_.push_back({std::move(operations), {}});
}

// The clocks of as many of the thread's operations as those before them have one. True: of any.
bool RecordedOrder::advance(Thread& thread) {
  const size_t had = thread.clocks.size();
  while (thread.clocks.size() < thread.operations.size()) {
    const Operation& operation = thread.operations[thread.clocks.size()];
    const Thread* other = nullptr;
    uint32_t turn = 0;
    if (operation.object != 0 && operation.orders) {
      const auto last = turns_.find({operation.object, (operation.version - 1) & kVersionMask});
      if (last != turns_.end()) {
        other = &threads_[last->second.thread];
        turn = last->second.operation;
      }
    }
    if (other != nullptr && other != &thread && turn >= other->clocks.size()) break;
    std::vector<uint32_t> clock =
        thread.clocks.empty() ? std::vector<uint32_t>(threads_.size(), 0) : thread.clocks.back();
    if (other != nullptr && other != &thread) {
      const std::vector<uint32_t>& known = other->clocks[turn];
      for (size_t i = 0; i < clock.size(); ++i) clock[i] = std::max(clock[i], known[i]);
    }
    ++clock[static_cast<size_t>(&thread - threads_.data())];
    thread.clocks.push_back(std::move(clock));
  }
  return thread.clocks.size() != had;
}

void RecordedOrder::finish() {
  uint64_t total = 0;
  for (const Thread& thread : threads_) total += thread.operations.size();
  if (total * threads_.size() * sizeof(uint32_t) > kMaxClockBytes) return;
  for (bool moved = true; moved;) {
    moved = false;
    for (Thread& thread : threads_) moved = advance(thread) || moved;
  }
}

// Null: nothing of others is known there.
const std::vector<uint32_t>* RecordedOrder::clock_at(const Moment& moment) const {
  const auto found = index_.find(moment.thread);
  if (found == index_.end() || moment.position == 0) return nullptr;
  const Thread& thread = threads_[found->second];
  return moment.position > thread.clocks.size() ? nullptr : &thread.clocks[moment.position - 1];
}

// What the thread did before it gave a lock back is known to whoever took the lock next.
bool RecordedOrder::released_before(const Moment& a, const std::vector<uint32_t>& known) const {
  const Thread& thread = threads_[index_.at(a.thread)];
  for (const uint64_t lock : a.locks) {
    for (size_t i = std::min<size_t>(a.position, thread.operations.size()); i-- > 0;) {
      const Operation& taken = thread.operations[i];
      if (taken.object != lock) continue;
      const auto next = turns_.find({lock, (taken.version + 1) & kVersionMask});
      if (next != turns_.end() && known[next->second.thread] > next->second.operation) return true;
      break;
    }
  }
  return false;
}

bool RecordedOrder::before(const Moment& a, const Moment& b) const {
  const auto index = index_.find(a.thread);
  const std::vector<uint32_t>* known = clock_at(b);
  if (index == index_.end() || known == nullptr) return false;
  return (*known)[index->second] > a.position || released_before(a, *known);
}

bool RecordedOrder::concurrent(const Moment& a, const Moment& b) const {
  return a.thread != b.thread && !share_a_lock(a, b) && !before(a, b) && !before(b, a);
}

bool RecordedOrder::is_object(uint64_t address) const {
  const auto next = turns_.lower_bound({address > kObjectBytes ? address - kObjectBytes : 0, 0});
  return next != turns_.end() && next->first.first < address + kObjectBytes;
}

}  // namespace evenkeel::host
