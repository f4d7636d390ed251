#include "runtime/kernel/dispatch.h"

#include "runtime/core/sys.h"
#include "runtime/kernel/fault.h"
#include "runtime/kernel/signals.h"
#include "runtime/sched/carrier.h"

namespace evenkeel::kernel {
namespace {

struct Row {
  Treatment treatment;
  Handler handler;
};

struct Table {
  Row rows[wire::kMaxSyscalls];
};

#define EVENKEEL_ROW_kHandled(name) table.rows[SYS_##name] = {Treatment::kHandled, sys_##name};
#define EVENKEEL_ROW_kPassed(name) table.rows[SYS_##name] = {Treatment::kPassed, nullptr};
#define EVENKEEL_ROW_kRefused(name) table.rows[SYS_##name] = {Treatment::kRefused, nullptr};
#define EVENKEEL_SYSCALL(name, treatment) EVENKEEL_ROW_##treatment(name)

constexpr Table make_table() {
  Table table{};
#include "runtime/kernel/table.inc"
  return table;
}
#undef EVENKEEL_SYSCALL

constexpr Table kTable = make_table();

// A signal sent to a running thread runs its handler when a call returns, as a thread that never
// blocks would otherwise never see it.
long run_handlers_after(long result) {
  if (signal_pending_for_self()) [[unlikely]] {
    bool restart = false;
    run_pending_handlers(restart);
  }
  return result;
}

bool in_table(long number) { return number >= 0 && number < long{wire::kMaxSyscalls}; }

}  // namespace

Treatment treatment_of(long number) {
  return in_table(number) ? kTable.rows[number].treatment : Treatment::kUnknown;
}

long pass_through(const Call& call) {
  const auto argument = [&](int i) { return static_cast<long>(call.args[i]); };
  return sys::call(call.number, argument(0), argument(1), argument(2), argument(3), argument(4),
                   argument(5))
      .value();
}

long system_call(const Call& call) {
  if (!sched::started() || !in_table(call.number)) return pass_through(call);
  maybe_crash();
  const Row& row = kTable.rows[call.number];
  switch (row.treatment) {
    case Treatment::kHandled:
      return run_handlers_after(row.handler(call));
    case Treatment::kPassed:
      return pass_through(call);
    case Treatment::kRefused:
      count_unhandled(call.number);
      return -ENOSYS;
    case Treatment::kUnknown:
      break;
  }
  count_unhandled(call.number);
  return pass_through(call);
}

}  // namespace evenkeel::kernel
