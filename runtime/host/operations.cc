#include "runtime/host/operations.h"

#include <fmt/format.h>

#include <algorithm>
#include <iterator>
#include <utility>
#include <vector>

namespace evenkeel::host {
namespace {

struct Logged {
  uint32_t thread;
  uint64_t entries;
};

// The busiest threads, by id.
std::vector<Logged> logged_threads(const wire::Deck& deck, uint32_t sequence) {
  std::vector<Logged> threads;
  for (uint32_t i = 0; i < wire::kMaxThreads; ++i) {
    // acquire: pairs with the primary's release; its entries are visible after it.
    const uint64_t published = deck.log.thread[i].published.load(std::memory_order_acquire);
    const auto entries = static_cast<uint32_t>(published);
    if (published >> 32 != sequence || entries == 0) continue;
    constexpr uint64_t kMost = uint64_t{wire::kMaxThreadSegments} * wire::kSegmentEntries;
    threads.push_back({i, std::min<uint64_t>(entries, kMost)});
  }
  if (threads.size() > kMaxShownThreads) {
    std::nth_element(threads.begin(), threads.begin() + kMaxShownThreads, threads.end(),
                     [](const Logged& a, const Logged& b) { return a.entries > b.entries; });
    threads.resize(kMaxShownThreads);
    std::sort(threads.begin(), threads.end(),
              [](const Logged& a, const Logged& b) { return a.thread < b.thread; });
  }
  return threads;
}

void add_entry(record::Thread& thread, const wire::Deck& deck, uint64_t index) {
  const uint32_t segment = deck.log.thread[thread.id()].segment[index / wire::kSegmentEntries];
  if (segment >= wire::kMaxSegments) return;
  const wire::OrderEntry& entry = deck.log.entry[segment][index % wire::kSegmentEntries];
  record::Operation& operation = *thread.add_operations();
  operation.set_index(index);
  operation.set_tag(entry.what & 0xff);
  operation.set_version(entry.what >> 8);
  operation.set_object(entry.object);
}

}  // namespace

bool orders_program(uint32_t what) {
  constexpr uint32_t kTagBits = 0x3f;
  constexpr uint32_t kTable = 10;  // sched::Tag
  constexpr uint32_t kHeap = 11;
  const uint32_t tag = what & kTagBits;
  return tag != kTable && tag != kHeap;
}

// sched::Tag, in its order.
std::string operation_text(uint32_t tag) {
  static constexpr const char* kNames[] = {"unknown operation",
                                           "mutex",
                                           "condition variable",
                                           "rwlock",
                                           "semaphore",
                                           "barrier",
                                           "spin lock",
                                           "once",
                                           "futex",
                                           "descriptor's object",
                                           "kernel table",
                                           "heap segment",
                                           "annotation"};
  constexpr uint32_t kTagBits = 0x3f;
  const uint32_t number = tag & kTagBits;
  std::string text = number < std::size(kNames) ? kNames[number] : kNames[0];
  if ((tag & 0x80) != 0) text += " (failed)";
  if ((tag & 0x40) != 0) text += " (blocked)";
  return text;
}

std::string contradiction_text(const wire::Result& result) {
  if (result.log_object == 0 && result.log_entry == 0) return "";
  const std::string logged =
      result.log_entry == 0
          ? "nothing more"
          : fmt::format("{} in version {}", operation_text(result.log_entry & 0xff),
                        result.log_entry >> 8);
  return fmt::format(": T{} at its operation {}: {} {:#x} in version {}, the log has {}",
                     result.log_thread, result.log_index, operation_text(result.log_tag),
                     result.log_object, result.log_version, logged);
}

record::Thread& thread_of(record::Report& report, uint32_t id) {
  for (record::Thread& thread : *report.mutable_threads()) {
    if (thread.id() == id) return thread;
  }
  record::Thread& thread = *report.add_threads();
  thread.set_id(id);
  return thread;
}

void add_operations(record::Report& report, const wire::Deck& deck, uint32_t sequence) {
  for (const Logged& logged : logged_threads(deck, sequence)) {
    record::Thread& thread = thread_of(report, logged.thread);
    thread.set_operations_total(logged.entries);
    const uint64_t shown = std::min(logged.entries, kMaxShownOperations);
    for (uint64_t i = logged.entries - shown; i < logged.entries; ++i) add_entry(thread, deck, i);
  }
}

}  // namespace evenkeel::host
