#include "shim/thread_hooks.h"

#include <cerrno>

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

}  // namespace

void init_thread_hooks() { g_list = arena::create<pthread_mutex_t>(); }

int create_thread(pthread_t* thread, const pthread_attr_t* attributes, void* (*start)(void*),
                  void* argument) {
  if (g_list == nullptr) return real::pthread_create(thread, attributes, start, argument);
  const ListGuard guard;
  return real::pthread_create(thread, attributes, start, argument);
}

int join_thread(pthread_t thread, void** result) {
  if (g_list == nullptr) return real::pthread_join(thread, result);
  // Says what is wrong with the thread, if anything; joins it if it ended in an earlier command.
  constexpr timespec kPast{-1, 0};
  {
    const ListGuard guard;
    const int error = real::pthread_clockjoin_np(thread, result, CLOCK_MONOTONIC, &kPast);
    if (error != ETIMEDOUT) return error;
  }
  if (const int error = kernel::await_exit(thread)) return error;
  const ListGuard guard;
  return real::pthread_join(thread, result);
}

}  // namespace evenkeel::shim
