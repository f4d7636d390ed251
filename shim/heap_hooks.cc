#include "shim/heap_hooks.h"

#include <signal.h>

#include "runtime/core/arena.h"
#include "runtime/core/heap.h"
#include "runtime/core/text.h"
#include "runtime/kernel/fault.h"
#include "runtime/kernel/kernel.h"
#include "runtime/sched/carrier.h"
#include "runtime/sched/lock.h"
#include "runtime/sched/order.h"
#include "shim/real.h"

namespace evenkeel::shim {
namespace {

constinit bool g_mapped = false;          // single-threaded when it changes
constinit uint32_t* g_version = nullptr;  // in the kernel arena

// The pump, which takes segments too, stands in no order with anybody.
void enter_ordered() {
  if (!sched::started()) return;
  if (sched::carrier().current == nullptr) return sched::lock();
  sched::lock_ordered(*g_version, sched::Tag::kHeap);
}
void leave_ordered() {
  if (sched::started()) sched::unlock();
}

// As glibc's allocator does, which ends the server; here it ends the batch. Once the queued frees
// are applied no thread of the server runs any more: then it is noted.
void misuse(const char* what, const void* pointer) {
  const auto address = reinterpret_cast<uint64_t>(pointer);
  const auto code = reinterpret_cast<uint64_t>(__builtin_return_address(0));
  if (!sched::started() || kernel::crashes_pass()) {
    Text<256> message;
    message.add("evenkeel: ").add(what).add(" at ").hex(address).add("\n").write_to(2);
    kernel::die_by(SIGABRT);
  }
  if (sched::carrier().current == nullptr) return kernel::note_fault({SIGABRT, address, code, 0});
  kernel::fail(SIGABRT, address, code);
}

void lost_free(const void*) {
  if (sched::started()) kernel::count_unhandled("free, heap exhausted");
}

constexpr heap::Hooks kHooks{enter_ordered, leave_ordered, misuse, lost_free};

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
