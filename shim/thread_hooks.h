#pragma once
// Births and joins of threads in one order in all replicas. libc keeps stacks in a list behind a
// lock of its own, of which nothing is recorded: which thread comes first there decides who maps
// and unmaps which stack, and a serial follower would hold it where its primary does not. So libc's
// functions run inside an ordered lock of ours. The end of a thread takes no such lock, so libc does
// not learn that a thread is detached, which then would put its own stack on that list: whoever
// creates the next thread joins those that have ended in earlier commands.
// Threads: any application thread. Memory: one mutex in the kernel arena.
#include <pthread.h>

namespace evenkeel::shim {

void init_thread_hooks();  // after sync::init()

int create_thread(pthread_t* thread, const pthread_attr_t* attributes, void* (*start)(void*),
                  void* argument);
int detach_thread(pthread_t thread);
// Not a cancellation point.
int join_thread(pthread_t thread, void** result);

}  // namespace evenkeel::shim
