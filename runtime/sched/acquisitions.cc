#include "runtime/sched/acquisitions.h"

#include <sys/mman.h>

#include "runtime/core/check.h"
#include "runtime/core/sys.h"

namespace evenkeel::sched {
namespace {

constexpr uint32_t kVersionMask = 0xff'ffff;

// Carriers are neighbours here but write only when they acquire: a line each.
struct alignas(64) PaddedLog {
  AcquisitionLog log;
};

constinit uint32_t g_logs = 0;
constinit PaddedLog g_log[kMaxCarriers] = {};

}  // namespace

constinit bool g_watching = false;

void init_acquisitions(uint32_t carriers) {
  constexpr size_t kBytes = kMaxAcquisitions * sizeof(Acquisition);
  for (; g_logs < carriers && g_logs < kMaxCarriers; ++g_logs) {
    const auto mapped = sys::mmap(nullptr, kBytes, PROT_READ | PROT_WRITE,
                                  MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (!mapped.ok()) EVENKEEL_DIE("cannot map a log of acquisitions", "errno", mapped.err());
    g_log[g_logs].log.records = reinterpret_cast<Acquisition*>(mapped.value());
  }
}

void watch_acquisitions(bool on) {
  clear_acquisitions();
  g_watching = on && g_logs != 0;
}

void clear_acquisitions() {
  for (uint32_t i = 0; i < g_logs; ++i) {
    g_log[i].log.count = 0;
    g_log[i].log.full = false;
  }
}

uint32_t acquisition_logs() { return g_logs; }
const AcquisitionLog& acquisition_log(uint32_t carrier) { return g_log[carrier].log; }

// The thread cannot leave its carrier in here: nothing suspends it.
void append_acquisition(const uint32_t& version, bool shared) {
  const Carrier& here = carrier();
  const Thread& me = *here.current;
  if (me.input == 0) return;
  AcquisitionLog& log = g_log[here.index].log;
  if (log.count == kMaxAcquisitions) {
    log.full = true;
    return;
  }
  log.records[log.count++] = {reinterpret_cast<uint64_t>(&version),
                              me.call_code,
                              me.input,
                              static_cast<uint32_t>(me.stack_end - me.call_frame),
                              __atomic_load_n(&version, __ATOMIC_RELAXED) & kVersionMask,
                              index_of(me.id),
                              shared ? 1U : 0U};
}

}  // namespace evenkeel::sched
