#pragma once
// A handler of a real signal runs on its carrier's alternate stack, in runtime memory, where no
// application thread may be suspended. What can suspend it is therefore run on the thread's own
// stack, as if the application had called it between two instructions; then it goes on where it
// stood, on whichever carrier it is by then.
#include <signal.h>
#include <ucontext.h>

#include <cstdint>

namespace evenkeel::shim {

// On the application's stack; tracked memory.
struct Interruption {
  ucontext_t context;  // where the thread goes on; may be changed
  siginfo_t info;
  void (*body)(Interruption&);
};

// From a handler: makes the return from it enter body(). `stack_top` is where the thread's stack is
// free below: beneath its red zone, or the end of its alternate stack.
void interrupt(ucontext_t& context, const siginfo_t& info, uint64_t stack_top,
               void (*body)(Interruption&));
[[nodiscard]] uint64_t below_red_zone(const ucontext_t& context);

}  // namespace evenkeel::shim
