// The malloc family. In a replica: the deterministic heap, in the calling thread's lane. Elsewhere:
// glibc's allocator under the names that need no dlsym, because dlsym itself allocates.
#include <cerrno>
#include <cstddef>
#include <cstdint>
#include <cstring>

#include "runtime/core/heap.h"
#include "runtime/core/layout.h"
#include "runtime/sched/carrier.h"
#include "shim/heap_hooks.h"
#include "shim/mode.h"

extern "C" {
void* __libc_malloc(size_t bytes);
void __libc_free(void* pointer);
void* __libc_calloc(size_t count, size_t bytes);
void* __libc_realloc(void* pointer, size_t bytes);
void* __libc_memalign(size_t alignment, size_t bytes);
}

namespace {

namespace heap = evenkeel::heap;
using evenkeel::shim::active;

heap::LaneId lane() {
  using namespace evenkeel::sched;
  return heap::LaneId{started() ? self().lane : 0};
}

void* or_enomem(void* pointer) {
  if (pointer == nullptr) errno = ENOMEM;
  return pointer;
}

void* allocate(size_t bytes, size_t alignment = heap::kMinAlignment) {
  if (bytes > PTRDIFF_MAX) return or_enomem(nullptr);
  evenkeel::shim::ensure_heap();
  return or_enomem(heap::allocate(lane(), bytes, alignment));
}

bool multiply(size_t count, size_t bytes, size_t& product) {
  return !__builtin_mul_overflow(count, bytes, &product);
}

bool power_of_two(size_t value) { return value != 0 && (value & (value - 1)) == 0; }

}  // namespace

#define EVENKEEL_EXPORT extern "C" __attribute__((visibility("default")))

EVENKEEL_EXPORT void* malloc(size_t bytes) {
  return active() ? allocate(bytes) : __libc_malloc(bytes);
}

EVENKEEL_EXPORT void free(void* pointer) {
  if (pointer == nullptr) return;
  if (!active()) return __libc_free(pointer);
  const int saved = errno;  // free() keeps it
  heap::release(lane(), pointer);
  errno = saved;
}

EVENKEEL_EXPORT void* calloc(size_t count, size_t bytes) {
  if (!active()) return __libc_calloc(count, bytes);
  size_t total = 0;
  if (!multiply(count, bytes, total)) return or_enomem(nullptr);
  return allocate(total);  // always zeroed
}

EVENKEEL_EXPORT void* realloc(void* pointer, size_t bytes) {
  if (!active()) return __libc_realloc(pointer, bytes);
  if (pointer == nullptr) return allocate(bytes);
  if (bytes == 0) {
    free(pointer);
    return nullptr;
  }
  if (bytes > PTRDIFF_MAX) return or_enomem(nullptr);
  return or_enomem(heap::reallocate(lane(), pointer, bytes));
}

EVENKEEL_EXPORT void* reallocarray(void* pointer, size_t count, size_t bytes) {
  size_t total = 0;
  if (!multiply(count, bytes, total)) return or_enomem(nullptr);
  return realloc(pointer, total);
}

EVENKEEL_EXPORT void* memalign(size_t alignment, size_t bytes) {
  if (!active()) return __libc_memalign(alignment, bytes);
  size_t rounded = heap::kMinAlignment;  // glibc rounds up to a power of two
  while (rounded < alignment) rounded *= 2;
  return allocate(bytes, rounded);
}

EVENKEEL_EXPORT void* aligned_alloc(size_t alignment, size_t bytes) {
  return memalign(alignment, bytes);
}

EVENKEEL_EXPORT int posix_memalign(void** out, size_t alignment, size_t bytes) {
  if (!power_of_two(alignment) || alignment % sizeof(void*) != 0) return EINVAL;
  const int saved = errno;
  void* pointer = memalign(alignment, bytes);
  errno = saved;
  if (pointer == nullptr) return ENOMEM;
  *out = pointer;
  return 0;
}

EVENKEEL_EXPORT void* valloc(size_t bytes) { return memalign(evenkeel::kPageBytes, bytes); }

EVENKEEL_EXPORT void* pvalloc(size_t bytes) {
  return memalign(evenkeel::kPageBytes, evenkeel::page_ceil(bytes));
}

EVENKEEL_EXPORT size_t malloc_usable_size(void* pointer) {
  if (pointer == nullptr) return 0;
  return active() ? heap::usable_bytes(pointer) : evenkeel::shim::libc_usable_bytes(pointer);
}
