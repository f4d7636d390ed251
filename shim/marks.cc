#include "shim/marks.h"

#include <algorithm>
#include <cstring>

#include "runtime/core/arena.h"
#include "runtime/kernel/kernel.h"
#include "runtime/sched/lock.h"
#include "verify/verify.h"

namespace evenkeel::shim {
namespace {

struct Change {
  Range range;
  bool begins;
};
struct Table {
  uint32_t change_count;
  uint32_t name_count;
  Change changes[kMaxRangeChanges];
  wire::NamedObject names[wire::kMaxNamedObjects];
};
constinit Table* g_table = nullptr;  // set once by init_marks()

void add_change(Range range, bool begins) {
  if (g_table->change_count == kMaxRangeChanges) {
    return kernel::count_unhandled("relaxed ranges, too many changes in a batch");
  }
  g_table->changes[g_table->change_count++] = {range, begins};
}

wire::NamedObject* find_name(uint64_t begin) {
  wire::NamedObject* const end = g_table->names + g_table->name_count;
  wire::NamedObject* const found =
      std::find_if(g_table->names, end, [&](const auto& name) { return name.begin == begin; });
  return found != end ? found : nullptr;
}

}  // namespace

void init_marks() { g_table = arena::create<Table>(); }

void relax(Range range) {
  const sched::Guard guard;
  add_change(range, true);
}

void stop_relaxing(Range range) {
  const sched::Guard guard;
  for (uint32_t i = g_table->change_count; i-- > 0;) {
    const Change& change = g_table->changes[i];
    if (change.range.begin != range.begin || change.range.bytes != range.bytes) continue;
    if (!change.begins) return;
    // Order between different ranges is of no concern.
    g_table->changes[i] = g_table->changes[--g_table->change_count];
    return;
  }
  add_change(range, false);
}

void name_object(Range range, const char* label) {
  const sched::Guard guard;
  wire::NamedObject* name = find_name(range.begin);
  if (name == nullptr && g_table->name_count == wire::kMaxNamedObjects) {
    return kernel::count_unhandled("named objects, too many");
  }
  if (name == nullptr) name = &g_table->names[g_table->name_count++];
  *name = {range.begin, range.bytes, {}};
  std::strncpy(name->label, label, sizeof name->label - 1);
}

void forget_name(uint64_t begin) {
  const sched::Guard guard;
  wire::NamedObject* const name = find_name(begin);
  if (name == nullptr) return;
  *name = g_table->names[--g_table->name_count];
}

void apply_relaxed(bool verifying) {
  for (uint32_t i = 0; verifying && i < g_table->change_count; ++i) {
    const Change& change = g_table->changes[i];
    const auto done =
        change.begins ? verify::ignore(change.range) : verify::stop_ignoring(change.range);
    if (!done.ok()) kernel::count_unhandled("relaxed range refused");
  }
  g_table->change_count = 0;
}

void list_names(wire::Report& report) {
  report.named_count = g_table->name_count;
  std::memcpy(report.named, g_table->names, g_table->name_count * sizeof *report.named);
}

}  // namespace evenkeel::shim
