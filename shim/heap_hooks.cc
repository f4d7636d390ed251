#include "shim/heap_hooks.h"

#include "runtime/core/arena.h"
#include "runtime/core/heap.h"
#include "runtime/core/text.h"
#include "runtime/kernel/kernel.h"
#include "runtime/sched/carrier.h"
#include "runtime/sched/lock.h"
#include "runtime/sched/order.h"
#include "shim/real.h"

namespace evenkeel::shim {
namespace {

constinit bool g_mapped = false;          // single-threaded when it changes
constinit uint32_t* g_version = nullptr;  // in the kernel arena

void enter_ordered() {
  if (sched::started()) sched::lock_ordered(*g_version, sched::Tag::kHeap);
}
void leave_ordered() {
  if (sched::started()) sched::unlock();
}

void misuse(const char* what, const void* pointer) {
  Text<256> message;
  message.add("evenkeel: heap misuse: ").add(what).add(" at ");
  message.hex(reinterpret_cast<uint64_t>(pointer)).add("; ignored\n").write_to(2);
  if (sched::started()) kernel::count_unhandled("heap misuse");
}

constexpr heap::Hooks kHooks{enter_ordered, leave_ordered, misuse};

}  // namespace

void ensure_heap() {
  if (g_mapped) [[likely]]
    return;
  g_mapped = true;
  heap::init(kHooks);
}

void init_heap_order() {
  ensure_heap();
  g_version = static_cast<uint32_t*>(arena::allocate(sizeof(uint32_t)));
}

size_t libc_usable_bytes(void* pointer) {
  using Function = size_t(void*);
  static constinit Function* real = nullptr;
  if (real == nullptr) real = reinterpret_cast<Function*>(real::next("malloc_usable_size"));
  return real(pointer);
}

}  // namespace evenkeel::shim
