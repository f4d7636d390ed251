#include "shim/thread_hooks.h"

#include <cerrno>
#include <cstring>

#include "runtime/core/arena.h"
#include "runtime/kernel/thread_calls.h"
#include "runtime/sched/carrier.h"
#include "runtime/sync/sync.h"
#include "shim/real.h"

namespace evenkeel::shim {
namespace {

constinit pthread_mutex_t* g_list = nullptr;  // set once by init_thread_hooks(); before, no order

class ListGuard {
 public:
  ListGuard() : input_(exchange_input(0)) { sync::mutex_lock(g_list); }
  ~ListGuard() {
    sync::mutex_unlock(g_list);
    exchange_input(input_);
  }
  ListGuard(const ListGuard&) = delete;
  ListGuard& operator=(const ListGuard&) = delete;

 private:
  // The serializability guard is to see the application's locks only.
  static wire::Channel exchange_input(wire::Channel input) {
    if (!sched::started()) return 0;
    const wire::Channel before = sched::self().input;
    sched::self().input = input;
    return before;
  }
  wire::Channel input_;
};

// glibc's struct pthread_attr: scheduling parameters, policy, flags.
constexpr size_t kAttributeFlags = 8;
constexpr uint32_t kAttributeDetached = 1;

uint32_t flags_of(const pthread_attr_t& attributes) {
  uint32_t flags;
  std::memcpy(&flags, reinterpret_cast<const char*>(&attributes) + kAttributeFlags, sizeof flags);
  return flags;
}

bool creates_detached(const pthread_attr_t* attributes) {
  return attributes != nullptr && (flags_of(*attributes) & kAttributeDetached) != 0;
}

// Shares what it points to with the original.
pthread_attr_t as_joinable(const pthread_attr_t& attributes) {
  pthread_attr_t joinable = attributes;
  const uint32_t flags = flags_of(attributes) & ~kAttributeDetached;
  std::memcpy(reinterpret_cast<char*>(&joinable) + kAttributeFlags, &flags, sizeof flags);
  return joinable;
}

}  // namespace

void init_thread_hooks() { g_list = arena::create<pthread_mutex_t>(); }

int create_thread(pthread_t* thread, const pthread_attr_t* attributes, void* (*start)(void*),
                  void* argument) {
  if (g_list == nullptr) return real::pthread_create(thread, attributes, start, argument);
  const ListGuard guard;
  while (const pthread_t ended = kernel::next_ended_detached()) real::pthread_join(ended, nullptr);
  if (!creates_detached(attributes)) {
    return real::pthread_create(thread, attributes, start, argument);
  }
  const pthread_attr_t joinable = as_joinable(*attributes);
  kernel::create_detached(true);  // the new thread may have changed *thread when we are back
  const int error = real::pthread_create(thread, &joinable, start, argument);
  kernel::create_detached(false);
  return error;
}

int detach_thread(pthread_t thread) {
  if (g_list == nullptr) return real::pthread_detach(thread);
  const ListGuard guard;
  switch (kernel::detach_thread(thread)) {
    case kernel::Detached::kYes:
      return 0;
    case kernel::Detached::kAlready:
      return EINVAL;
    case kernel::Detached::kEnded:
      break;
  }
  return real::pthread_join(thread, nullptr);
}

int join_thread(pthread_t thread, void** result) {
  if (g_list == nullptr) return real::pthread_join(thread, result);
  // Says what is wrong with the thread, if anything; joins it if it ended in an earlier command.
  constexpr timespec kPast{-1, 0};
  {
    const ListGuard guard;
    if (kernel::detached(thread)) return EINVAL;
    const int error = real::pthread_clockjoin_np(thread, result, CLOCK_MONOTONIC, &kPast);
    if (error != ETIMEDOUT) return error;
  }
  if (const int error = kernel::await_exit(thread)) return error;
  const ListGuard guard;
  return real::pthread_join(thread, result);
}

}  // namespace evenkeel::shim
