// The one entry of annotate.h. Its numbers are an ABI: what is unknown here is ignored.
#include <errno.h>
#include <time.h>

#include "runtime/core/sys.h"
#include "runtime/sched/carrier.h"
#include "shim/include/evenkeel/annotate.h"
#include "shim/marks.h"
#include "shim/mode.h"
#include "shim/requests.h"

#define EVENKEEL_EXPORT extern "C" __attribute__((visibility("default")))

namespace evenkeel::shim {
namespace {

// The carrier sleeps, so that the thread counts as running. The watchdog's signal interrupts it;
// when the execution ends early, so does the wait.
void wait_really(uint64_t ns) {
  const uint64_t end_ns = sys::monotonic_ns() + ns;
  const timespec end{static_cast<time_t>(end_ns / 1'000'000'000),
                     static_cast<long>(end_ns % 1'000'000'000)};
  while (sys::call(SYS_clock_nanosleep, CLOCK_MONOTONIC, TIMER_ABSTIME, sys::arg(&end), 0).err() ==
         EINTR) {
    if (sched::started() && sched::stopping()) return;
  }
}

void obey_hint(unsigned hint, Range range, const char* label) {
  switch (hint) {
    case EVENKEEL_HINT_RELAXED_BEGIN:
      return relax(range);
    case EVENKEEL_HINT_RELAXED_END:
      return stop_relaxing(range);
    case EVENKEEL_HINT_REQUEST_BEGIN:
      return begin_request(static_cast<int>(range.bytes));
    case EVENKEEL_HINT_REQUEST_END:
      return end_request();
    case EVENKEEL_HINT_READS:
      return declare(mixer::Access::kRead, label, range);
    case EVENKEEL_HINT_WRITES:
      return declare(mixer::Access::kWrite, label, range);
    case EVENKEEL_HINT_ADDS:
      return declare(mixer::Access::kAdd, label, range);
    case EVENKEEL_HINT_READY:
      return await_group();
    case EVENKEEL_HINT_NAME:
      return name_object(range, label);
    case EVENKEEL_HINT_UNNAME:
      return forget_name(range.begin);
    default:
      break;
  }
}

}  // namespace
}  // namespace evenkeel::shim

EVENKEEL_EXPORT void evenkeel_hint_v1(unsigned hint, const void* addr, unsigned long bytes,
                                      const char* label) {
  using namespace evenkeel;
  if (hint == EVENKEEL_HINT_REAL_WAIT) return shim::wait_really(bytes);
  if (!shim::active() || !sched::started()) return;
  shim::obey_hint(hint, {reinterpret_cast<uint64_t>(addr), bytes}, label != nullptr ? label : "");
}
