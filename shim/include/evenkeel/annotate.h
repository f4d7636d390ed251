/* Hints from a server to Evenkeel: which requests it works on, what they read and write, which
 * bytes may differ between replicas, what objects are called. C99 and C++. Nothing to link
 * (glibc 2.34 or newer; before, -ldl).
 *
 * A hint is never needed for right answers and a wrong one costs none, with the one exception that
 * relaxed bytes are not compared. docs/annotations.md is the tutorial.
 *
 * Cost of each macro where the runtime is absent: one load and one indirect call of an empty
 * function, unless its comment says otherwise. -DEVENKEEL_DISABLE removes the calls; arguments are
 * then named, but not evaluated. */
#ifndef EVENKEEL_ANNOTATE_H_
#define EVENKEEL_ANNOTATE_H_

/* ABI: numbers are never reordered or reused; new ones go to the end. The runtime ignores those
 * that it does not know. */
enum evenkeel_hint {
  EVENKEEL_HINT_RELAXED_BEGIN = 1,
  EVENKEEL_HINT_RELAXED_END = 2,
  EVENKEEL_HINT_REQUEST_BEGIN = 3,
  EVENKEEL_HINT_REQUEST_END = 4,
  EVENKEEL_HINT_READS = 5,
  EVENKEEL_HINT_WRITES = 6,
  EVENKEEL_HINT_ADDS = 7,
  EVENKEEL_HINT_READY = 8,
  EVENKEEL_HINT_NAME = 9,
  EVENKEEL_HINT_UNNAME = 10,
  EVENKEEL_HINT_REAL_WAIT = 11
};

#include <time.h>

#ifdef EVENKEEL_DISABLE
#define EVENKEEL_HINT(hint, addr, bytes, label) \
  ((void)sizeof(hint), (void)sizeof(addr), (void)sizeof(bytes), (void)sizeof(label))
#else
#include <dlfcn.h>
#include <string.h>

typedef void (*evenkeel_hint_fn)(unsigned hint, const void* addr, unsigned long bytes,
                                 const char* label);

static inline void evenkeel_hint_none(unsigned hint, const void* addr, unsigned long bytes,
                                      const char* label) {
  (void)hint;
  (void)addr;
  (void)bytes;
  (void)label;
}

/* Looked up, not weakly linked: a weak reference in a non-PIE executable is fixed to null at link
 * time. Threads that race here find the same. */
static inline evenkeel_hint_fn evenkeel_hint_lookup(void) {
  static evenkeel_hint_fn cached;
  evenkeel_hint_fn fn = __atomic_load_n(&cached, __ATOMIC_RELAXED);
  if (!fn) {
    void* symbol = dlsym((void*)0 /* RTLD_DEFAULT */, "evenkeel_hint_v1");
    fn = evenkeel_hint_none;
    if (symbol) memcpy(&fn, &symbol, sizeof fn);
    __atomic_store_n(&cached, fn, __ATOMIC_RELAXED);
  }
  return fn;
}
#define EVENKEEL_HINT(hint, addr, bytes, label) \
  evenkeel_hint_lookup()((hint), (addr), (unsigned long)(bytes), (label))
#endif

/* ---- requests */

/* The calling thread works for the connection of descriptor `fd` until EVENKEEL_REQUEST_END.
 * Promise: the thread needs nothing of its own for it, so that which thread of a pool it is makes
 * no difference; no other thread works for the connection meanwhile (one that does is told apart
 *   from it by thread, as without this hint).
 * From then on memory that the thread allocates has an address that depends on what is allocated
 * for this connection only. A request that takes several reads, or several threads in turn, is
 * bracketed each time; one that is a part of a read is bracketed within the brackets of the read.
 * Each BEGIN of the same connection needs its END; a BEGIN for another connection ends all. */
#define EVENKEEL_REQUEST_BEGIN(fd) EVENKEEL_HINT(EVENKEEL_HINT_REQUEST_BEGIN, "", (fd), "")
#define EVENKEEL_REQUEST_END() EVENKEEL_HINT(EVENKEEL_HINT_REQUEST_END, "", 0, "")

/* The request will read, change, or add to what the `bytes` bytes at `key` name in the name space
 * `space` (a string). Adding is any change in which order does not matter and whose result the
 * request does not look at.
 * Promise: between READY and the next READY or the request's end it touches nothing that another
 *   request changes, unless declared. Declare what the code shares, not what the client names: two
 *   keys in one hash chain are one.
 * Nothing goes unchecked: replicas are compared as ever, a footprint that lies is repaired. More
 * than 64 keys conflict with every other request. Outside of a request, ignored. */
#define EVENKEEL_READS(space, key, bytes) EVENKEEL_HINT(EVENKEEL_HINT_READS, key, bytes, space)
#define EVENKEEL_WRITES(space, key, bytes) EVENKEEL_HINT(EVENKEEL_HINT_WRITES, key, bytes, space)
#define EVENKEEL_ADDS(space, key, bytes) EVENKEEL_HINT(EVENKEEL_HINT_ADDS, key, bytes, space)

/* All is declared: waits until no request that runs conflicts with what was declared since the last
 * READY of the thread's request. Nothing declared: no wait.
 * Promise: no thread waits for this one by spinning without a system call. It may hold locks. */
#define EVENKEEL_READY() EVENKEEL_HINT(EVENKEEL_HINT_READY, "", 0, "")

/* ---- memory */

/* [addr, addr+bytes) may differ between replicas until EVENKEEL_RELAXED_END with the same range:
 * statistics by thread, caches, time stamps.
 * Promise: no answer depends on it. After a repair it may hold what another replica had.
 * Unchecked: errors in these bytes. At most 1,024 ranges at a time; further ones are compared. End
 * it before the memory is freed. */
#define EVENKEEL_RELAXED_BEGIN(addr, bytes, label) \
  EVENKEEL_HINT(EVENKEEL_HINT_RELAXED_BEGIN, addr, bytes, label)
#define EVENKEEL_RELAXED_END(addr, bytes) EVENKEEL_HINT(EVENKEEL_HINT_RELAXED_END, addr, bytes, "")

/* Reports call [addr, addr+bytes) `label` (at most 47 bytes of it), until EVENKEEL_UNNAME. Changes
 * nothing else. At most 1,024 at a time; further ones have no name. End it before the memory is
 * freed. */
#define EVENKEEL_NAME(addr, bytes, label) EVENKEEL_HINT(EVENKEEL_HINT_NAME, addr, bytes, label)
#define EVENKEEL_UNNAME(addr) EVENKEEL_HINT(EVENKEEL_HINT_UNNAME, addr, 0, "")

/* ---- experiments */

/* Sleeps `ns` nanoseconds of real time, present or absent, disabled or not. Under the runtime time
 * stands still within a batch and an ordinary sleep costs a batch of its own; this one counts as
 * work: the thread occupies a kernel thread (--carriers) and sees nothing of time. For measuring
 * handlers whose cost is latency. Not in strict C without POSIX. */
#if defined(_POSIX_C_SOURCE) || defined(__cplusplus)
#define EVENKEEL_REAL_WAIT(ns) evenkeel_real_wait(ns)
static inline void evenkeel_real_wait(unsigned long ns) {
  struct timespec left;
#ifndef EVENKEEL_DISABLE
  if (evenkeel_hint_lookup() != evenkeel_hint_none) {
    EVENKEEL_HINT(EVENKEEL_HINT_REAL_WAIT, "", ns, "");
    return;
  }
#endif
  left.tv_sec = (time_t)(ns / 1000000000UL);
  left.tv_nsec = (long)(ns % 1000000000UL);
  while (nanosleep(&left, &left) != 0) {
  }
}
#endif

#ifdef __cplusplus
#define EVENKEEL_CAT_(a, b) a##b
#define EVENKEEL_CAT(a, b) EVENKEEL_CAT_(a, b)
/* The brackets of a request, or of relaxed bytes, as a scope. */
#define EVENKEEL_REQUEST_SCOPE(fd) \
  const ::evenkeel::RequestScope EVENKEEL_CAT(evenkeel_request_, __LINE__)(fd)
#define EVENKEEL_RELAXED_SCOPE(addr, bytes, label) \
  const ::evenkeel::RelaxedScope EVENKEEL_CAT(evenkeel_relaxed_, __LINE__)(addr, bytes, label)
namespace evenkeel {
class RequestScope {
 public:
  explicit RequestScope([[maybe_unused]] int fd) { EVENKEEL_REQUEST_BEGIN(fd); }
  ~RequestScope() { EVENKEEL_REQUEST_END(); }
  RequestScope(const RequestScope&) = delete;
  RequestScope& operator=(const RequestScope&) = delete;
};
class RelaxedScope {
 public:
  RelaxedScope(const void* addr, unsigned long bytes, [[maybe_unused]] const char* label)
      : addr_(addr), bytes_(bytes) {
    EVENKEEL_RELAXED_BEGIN(addr_, bytes_, label);
  }
  ~RelaxedScope() { EVENKEEL_RELAXED_END(addr_, bytes_); }
  RelaxedScope(const RelaxedScope&) = delete;
  RelaxedScope& operator=(const RelaxedScope&) = delete;

 private:
  const void* addr_;
  unsigned long bytes_;
};
}  // namespace evenkeel
#endif
#endif /* EVENKEEL_ANNOTATE_H_ */
