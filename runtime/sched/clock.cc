#include "runtime/sched/clock.h"

namespace evenkeel::sched {
namespace {
constinit BatchTime g_time{};
}  // namespace

const BatchTime& batch_time() { return g_time; }
void set_batch_time(const BatchTime& time) { g_time = time; }

}  // namespace evenkeel::sched
