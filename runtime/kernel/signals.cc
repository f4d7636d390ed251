#include "runtime/kernel/signals.h"

#include <sys/epoll.h>
#include <ucontext.h>

#include <bit>
#include <cstring>

#include "runtime/core/arena.h"
#include "runtime/core/check.h"
#include "runtime/core/sys.h"
#include "runtime/kernel/fault.h"
#include "runtime/kernel/process.h"
#include "runtime/kernel/signal_state.h"
#include "runtime/sched/carrier.h"

namespace evenkeel::kernel {
namespace signals {
namespace {

using sched::Thread;
using sched::ThreadState;

constinit State* g_state = nullptr;  // set once by init_signals()

constexpr uint64_t kIgnoredByDefault = bit(SIGCHLD) | bit(SIGURG) | bit(SIGWINCH) | bit(SIGCONT) |
                                       bit(SIGSTOP) | bit(SIGTSTP) | bit(SIGTTIN) | bit(SIGTTOU);

constexpr int kFirstRealTime = 32;
bool is_queued(int number) { return number >= kFirstRealTime; }

uint64_t& pending_mask(uint32_t target) {
  return target == kProcess ? g_state->process_pending
                            : sched::thread(sched::ThreadId{target}).pending_signals;
}

bool alive(const Thread& thread) {
  return thread.state != ThreadState::kFree && thread.state != ThreadState::kDead;
}
bool blocks(const Thread& thread, int number) { return (thread.signal_mask & bit(number)) != 0; }

// Unlinks and frees the matching entries; returns the first one's content.
template <typename Match>
bool extract(Match match, bool only_first, siginfo_t& info) {
  bool found = false;
  for (Pending** link = &g_state->queue; *link != nullptr;) {
    Pending* entry = *link;
    if (!match(*entry) || (found && only_first)) {
      link = &entry->next;
      continue;
    }
    if (!found) info = entry->info;
    found = true;
    *link = entry->next;
    arena::destroy(entry);
  }
  return found;
}

void drop_entries(uint32_t target, int number) {
  siginfo_t unused;
  extract([=](const Pending& p) { return p.target == target && p.info.si_signo == number; }, false,
          unused);
}

void append(uint32_t target, const siginfo_t& info) {
  uint64_t& mask = pending_mask(target);
  const int number = info.si_signo;
  if ((mask & bit(number)) == 0) {
    drop_entries(target, number);  // a thread that has exited had the same slot
  } else if (!is_queued(number)) {
    return;  // standard signals do not count
  }
  mask |= bit(number);
  auto* entry = arena::create<Pending>();
  entry->target = target;
  entry->info = info;
  Pending** link = &g_state->queue;
  while (*link != nullptr) link = &(*link)->next;
  *link = entry;
}

// Visits the live threads by number until visit() is true; returns that one or null.
template <typename Visit>
Thread* find_thread(Visit visit) {
  for (uint32_t i = 0; i < sched::thread_slots(); ++i) {
    Thread& thread = sched::thread(sched::ThreadId{i});
    if (alive(thread) && visit(thread)) return &thread;
  }
  return nullptr;
}

Thread* choose(int number, const Thread* sender) {
  if (sender != nullptr && !blocks(*sender, number)) {
    return &sched::thread(sender->id);
  }
  Thread* waiting = find_thread(
      [=](const Thread& t) { return t.state == ThreadState::kWaiting && !blocks(t, number); });
  if (waiting != nullptr) return waiting;
  return find_thread([=](const Thread& t) { return !blocks(t, number); });
}

bool awaits(const Thread& thread, int number) { return (of(thread).awaited & bit(number)) != 0; }

void wake_if_waiting(Thread& thread, sched::Wake reason) {
  if (thread.state == ThreadState::kWaiting) sched::wake_thread(thread, reason);
}

// A thread of the server ends it as abort() does. It finds out when it next looks at stopping().
void crash(int number) {
  if (crashes_pass()) die_by(number);
  note_fault({number, 0, reinterpret_cast<uint64_t>(__builtin_return_address(0)),
              sched::index_of(sched::self().id)});
}

// Not blocked by the thread: what happens to it. `own`: a thread of the server sent it.
void act(Thread& thread, const siginfo_t& info, bool own) {
  const int number = info.si_signo;
  if (is_ignored(number)) return;
  if (is_default(number)) {
    if (own && is_crash(number)) {
      crash(number);
    } else {
      mark_ended(0, number);
    }
    return;
  }
  append(sched::index_of(thread.id), info);
  wake_if_waiting(thread, sched::Wake::kSignal);
}

void tell_descriptors(int number) {
  for (Signalfd* fd = g_state->descriptors; fd != nullptr; fd = fd->next) {
    if ((fd->mask & bit(number)) != 0) notify(fd->object, EPOLLIN);
  }
}

bool take_from(uint32_t target, uint64_t set, siginfo_t& info) {
  uint64_t& mask = pending_mask(target);
  if ((mask & set) == 0) return false;
  const int number = std::countr_zero(mask & set) + 1;
  const auto ours = [=](const Pending& p) {
    return p.target == target && p.info.si_signo == number;
  };
  extract(ours, true, info);
  for (const Pending* p = g_state->queue; p != nullptr; p = p->next) {
    if (ours(*p)) return true;
  }
  mask &= ~bit(number);
  return true;
}

}  // namespace

bool is_default(int number) {
  return g_state->actions[number].handler == reinterpret_cast<uint64_t>(SIG_DFL);
}
bool is_ignored(int number) {
  if (is_default(number)) return (bit(number) & kIgnoredByDefault) != 0;
  return g_state->actions[number].handler == reinterpret_cast<uint64_t>(SIG_IGN);
}

State& state() { return *g_state; }
PerThread& of(const Thread& thread) { return g_state->threads[sched::index_of(thread.id)]; }

siginfo_t plain_info(int number, int code) {
  siginfo_t info = {};
  info.si_signo = number;
  info.si_code = code;
  info.si_pid = deck().boot.reported_pid;
  info.si_uid = static_cast<uid_t>(sys::call(SYS_getuid).value());
  return info;
}

void send_to_process(const siginfo_t& info, const Thread* sender) {
  const int number = info.si_signo;
  if (number == SIGKILL) return mark_ended(0, SIGKILL);
  Thread* waiter = find_thread([=](const Thread& t) { return awaits(t, number); });
  if (waiter == nullptr) {
    if (Thread* chosen = choose(number, sender)) return act(*chosen, info, sender != nullptr);
  }
  append(kProcess, info);
  if (waiter != nullptr) {
    wake_if_waiting(*waiter, sched::Wake::kWoken);
  } else {
    tell_descriptors(number);
  }
}

void send_to_thread(Thread& thread, const siginfo_t& info) {
  const int number = info.si_signo;
  if (number == SIGKILL) return mark_ended(0, SIGKILL);
  const bool awaited = awaits(thread, number);
  if (!awaited && !blocks(thread, number)) return act(thread, info, true);
  append(sched::index_of(thread.id), info);
  if (awaited) wake_if_waiting(thread, sched::Wake::kWoken);
}

bool take(const Thread& thread, uint64_t set, siginfo_t& info) {
  return take_from(sched::index_of(thread.id), set, info) || take_from(kProcess, set, info);
}

uint64_t pending_for(const Thread& thread) {
  return thread.pending_signals | g_state->process_pending;
}

void discard_everywhere(int number) {
  siginfo_t unused;
  extract([=](const Pending& p) { return p.info.si_signo == number; }, false, unused);
  g_state->process_pending &= ~bit(number);
  find_thread([=](Thread& t) {
    t.pending_signals &= ~bit(number);
    return false;
  });
}

}  // namespace signals

namespace {

using signals::bit;

// One signal on its way to its handler; lies on the stack of the thread that runs it.
struct Frame {
  siginfo_t info;
  signals::Action action;  // as it was when the handler was entered
  ucontext_t context;
};

// Puts the mask for the time of the handler in force. Lock held, in turn.
signals::Action enter(sched::Thread& thread, int number, ucontext_t& context) {
  signals::Action& current = signals::state().actions[number];
  const signals::Action action = current;
  std::memcpy(&context.uc_sigmask, &thread.signal_mask, sizeof thread.signal_mask);
  context.uc_stack = signals::of(thread).alternate;
  thread.signal_mask |= action.mask & ~signals::kUnblockable;
  if ((action.flags & SA_NODEFER) == 0) thread.signal_mask |= bit(number);
  if ((action.flags & SA_RESETHAND) != 0) current = {};
  return action;
}

enum class Next { kNone, kDropped, kHandler, kTerminate };

// A disposition may have changed since the signal was sent.
Next take_next(Frame& frame) {
  sched::OrderedGuard guard(signals::state().version, sched::Tag::kTable);
  sched::Thread& thread = sched::self();
  if (!signals::take(thread, ~thread.signal_mask, frame.info)) return Next::kNone;
  const int number = frame.info.si_signo;
  if (signals::is_ignored(number)) return Next::kDropped;
  if (signals::is_default(number)) return Next::kTerminate;
  frame.action = enter(thread, number, frame.context);
  return Next::kHandler;
}

// What the handler finds if it looks: where the thread stands, roughly. The registers proper lie in
// frames further up the stack, whose layout depends on how the call came in.
[[gnu::noinline]] void describe_position(ucontext_t& context) {
  auto& registers = context.uc_mcontext.gregs;
  registers[REG_RIP] = reinterpret_cast<greg_t>(__builtin_return_address(0));
  registers[REG_RSP] = reinterpret_cast<greg_t>(__builtin_frame_address(0));
  registers[REG_RBP] = registers[REG_RSP];
}

// The kernel starts a handler with fresh floating-point control words and restores the old ones.
void call_handler(const signals::Action& action, siginfo_t& info, ucontext_t& context) {
  uint32_t mxcsr = 0;
  uint16_t x87 = 0;
  const uint32_t fresh_mxcsr = 0x1f80;  // all exceptions masked, round to nearest
  const uint16_t fresh_x87 = 0x037f;
  asm volatile("stmxcsr %0\n fnstcw %1" : "=m"(mxcsr), "=m"(x87));
  asm volatile("ldmxcsr %0\n fldcw %1" ::"m"(fresh_mxcsr), "m"(fresh_x87));
  using Handler = void (*)(int, siginfo_t*, void*);
  reinterpret_cast<Handler>(action.handler)(info.si_signo, &info, &context);
  asm volatile("ldmxcsr %0\n fldcw %1" ::"m"(mxcsr), "m"(x87));
}

// A thread that has crashed, or called abort(), and does not end here yet:
// fail_if_handling_fault().
class HandlingFault {
 public:
  HandlingFault(const siginfo_t& info, uint64_t address, const ucontext_t& context, uint64_t frame)
      : current_(signals::of(sched::self()).fault), outer_(current_) {
    const auto code = static_cast<uint64_t>(context.uc_mcontext.gregs[REG_RIP]);
    if (is_own_crash(info)) current_ = {info.si_signo, address, code, frame};
  }
  ~HandlingFault() { current_ = outer_; }
  HandlingFault(const HandlingFault&) = delete;
  HandlingFault& operator=(const HandlingFault&) = delete;

  // The kernel found it, or raise() sent it; not a kill command.
  static bool is_own_crash(const siginfo_t& info) {
    return is_crash(info.si_signo) && (info.si_code > 0 || info.si_code == SI_TKILL);
  }

 private:
  signals::FaultHandling& current_;
  signals::FaultHandling outer_;
};

// As sigreturn does: with the mask that the handler left in the context.
void leave(const ucontext_t& context) {
  sched::OrderedGuard guard(signals::state().version, sched::Tag::kTable);
  uint64_t mask = 0;
  std::memcpy(&mask, &context.uc_sigmask, sizeof mask);
  sched::self().signal_mask = mask & ~signals::kUnblockable;
}

constexpr long kMaskBytes = sizeof(uint64_t);  // the kernel's, not libc's

void must_read(sys::Result asked) {
  if (!asked.ok()) EVENKEEL_DIE("cannot read inherited signal state", "errno", asked.err());
}

// A pending signal whose action is to end the server.
[[noreturn]] void terminate_by(const siginfo_t& info) {
  const int number = info.si_signo;
  if (HandlingFault::is_own_crash(info)) {
    if (crashes_pass()) die_by(number);
    fail(number, 0, reinterpret_cast<uint64_t>(__builtin_return_address(0)));
  }
  end_process(0, number);
}

}  // namespace

void init_signals() {
  signals::g_state = arena::create<signals::State>();
  signals::State& s = signals::state();
  for (int number = 1; number <= signals::kLast; ++number) {
    must_read(sys::call(SYS_rt_sigaction, number, 0, sys::arg(&s.actions[number]), kMaskBytes));
  }
  must_read(sys::call(SYS_rt_sigprocmask, SIG_BLOCK, 0, sys::arg(&s.inherited_mask), kMaskBytes));
  for (signals::PerThread& thread : s.threads) thread.alternate.ss_flags = SS_DISABLE;
  signals::init_timers();
}

uint64_t inherited_signal_mask() { return signals::state().inherited_mask; }

void deliver_process_signal(int number) {
  signals::send_to_process(signals::plain_info(number, SI_USER), nullptr);
}

bool signal_pending_for_self() {
  const sched::Thread& thread = sched::self();
  return (signals::pending_for(thread) & ~thread.signal_mask) != 0;
}

bool run_pending_handlers(bool& restart) {
  bool ran = false;
  restart = true;
  while (signal_pending_for_self()) {
    Frame frame = {};
    const Next next = take_next(frame);
    if (next == Next::kNone) break;
    if (next == Next::kDropped) continue;
    if (next == Next::kTerminate) terminate_by(frame.info);
    describe_position(frame.context);
    const HandlingFault handling(frame.info, 0, frame.context,
                                 reinterpret_cast<uint64_t>(__builtin_frame_address(0)));
    call_handler(frame.action, frame.info, frame.context);
    leave(frame.context);
    ran = true;
    restart &= (frame.action.flags & SA_RESTART) != 0;
  }
  return ran;
}

bool handles_fault(int number) {
  return !signals::is_default(number) && !signals::is_ignored(number) &&
         (sched::self().signal_mask & bit(number)) == 0;
}

uint64_t handler_stack(int number, uint64_t interrupted) {
  const stack_t& alternate = signals::of(sched::self()).alternate;
  const bool wanted = (signals::state().actions[number].flags & SA_ONSTACK) != 0 &&
                      (alternate.ss_flags & SS_DISABLE) == 0;
  const auto begin = reinterpret_cast<uint64_t>(alternate.ss_sp);
  return wanted && interrupted - begin > alternate.ss_size ? begin + alternate.ss_size
                                                           : interrupted;
}

void run_fault_handler(siginfo_t& info, ucontext_t& context) {
  const int number = info.si_signo;
  const HandlingFault handling(info, reinterpret_cast<uint64_t>(info.si_addr), context,
                               reinterpret_cast<uint64_t>(__builtin_frame_address(0)));
  uint64_t real_mask = 0;
  std::memcpy(&real_mask, &context.uc_sigmask, sizeof real_mask);
  signals::Action action;
  {
    sched::OrderedGuard guard(signals::state().version, sched::Tag::kTable);
    action = enter(sched::self(), number, context);
  }
  call_handler(action, info, context);
  leave(context);
  std::memcpy(&context.uc_sigmask, &real_mask, sizeof real_mask);
}

void fail_if_handling_fault() {
  const signals::FaultHandling& handling = signals::of(sched::self()).fault;
  const auto here = reinterpret_cast<uint64_t>(__builtin_frame_address(0));
  // Above its frame, the handler has been left by a jump.
  if (handling.signal == 0 || here > handling.frame || crashes_pass()) return;
  fail(handling.signal, handling.address, handling.code);
}

SignalMaskScope::SignalMaskScope(const uint64_t* mask) : changed_(mask != nullptr) {
  if (!changed_) return;
  sched::OrderedGuard guard(signals::state().version, sched::Tag::kTable);
  saved_ = sched::self().signal_mask;
  sched::self().signal_mask = *mask & ~signals::kUnblockable;
}

SignalMaskScope::~SignalMaskScope() {
  if (!changed_) return;
  sched::OrderedGuard guard(signals::state().version, sched::Tag::kTable);
  sched::self().signal_mask = saved_;
}

void inherit_signals(sched::Thread& child, const sched::Thread& parent) {
  child.signal_mask = parent.signal_mask;
  signals::of(child) = {};
  signals::of(child).alternate.ss_flags = SS_DISABLE;
}

}  // namespace evenkeel::kernel
