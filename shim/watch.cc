#include "shim/watch.h"

#include <sys/mman.h>

#include <algorithm>
#include <cstring>

#include "runtime/core/layout.h"
#include "runtime/core/sys.h"
#include "runtime/kernel/kernel.h"
#include "runtime/sched/carrier.h"
#include "runtime/sched/lock.h"
#include "runtime/sched/order.h"
#include "shim/interruption.h"
#include "shim/real_signals.h"
#include "snapshot/snapshot.h"

namespace evenkeel::shim {
namespace {

constexpr uint64_t kTrapFlag = 1 << 8;  // of EFLAGS
constexpr uint64_t kWriteFault = 2;     // bit 1 of the page-fault error code
constexpr size_t kMaxPages = wire::kMaxWatched * 2;
// An instruction touches at most two operands of two pages each.
constexpr size_t kMaxOpen = 4;
constexpr uint32_t kNoRange = UINT32_MAX;

// The kernel's order of a context's registers, in DWARF's.
constexpr int kRegisters[wire::kDwarfRegisters] = {
    REG_RAX, REG_RDX, REG_RCX, REG_RBX, REG_RSI, REG_RDI, REG_RBP, REG_RSP, REG_R8,
    REG_R9,  REG_R10, REG_R11, REG_R12, REG_R13, REG_R14, REG_R15, REG_RIP};

struct Watching {
  bool active;
  size_t page_count;
  uint64_t pages[kMaxPages];  // closed between accesses
  size_t open_count;
  uint64_t open[kMaxOpen];  // for the step under way
  wire::Access* access;     // of the step under way; null: to other bytes of the page
  uint64_t random;
  uint32_t change_every;  // so many accesses, on average, threads change places; 0: never
};
constinit Watching g{};

// Where threads do not change places, accesses that are alike are noted twice only: what one thread
// does all the time must not hide what another did.
constexpr uint8_t kOfEachKind = 2;
constexpr size_t kKinds = 8192;
constexpr size_t kProbes = 8;  // a kind that finds no room is noted each time
struct Kind {
  uint64_t hash;
  uint8_t count;
};
constinit Kind g_kinds[kKinds]{};

const wire::Watch& wanted() { return kernel::deck().watch; }
wire::Accesses& notes() { return kernel::replica().accesses; }
size_t range_count() { return std::min<size_t>(wanted().count, wire::kMaxWatched); }

void* pointer(uint64_t address) { return reinterpret_cast<void*>(address); }

bool set_protection(uint64_t page, int protection) {
  return sys::mprotect(pointer(page), kPageBytes, protection).ok();
}

bool is_watched(uint64_t page) {
  return std::find(g.pages, g.pages + g.page_count, page) != g.pages + g.page_count;
}

void forget(uint64_t page) {
  const auto end = std::remove(g.pages, g.pages + g.page_count, page);
  if (end != g.pages + g.page_count) set_protection(page, PROT_READ | PROT_WRITE);
  g.page_count = static_cast<size_t>(end - g.pages);
}

void add_pages(const wire::WatchedRange& range) {
  // Signal frames are pushed on stacks, by the kernel.
  if (range.begin >= range.end || kStackArena.contains(range.begin)) return;
  for (uint64_t page = page_floor(range.begin); page < range.end; page += kPageBytes) {
    if (is_watched(page) || g.page_count == kMaxPages) continue;
    if (set_protection(page, PROT_NONE)) g.pages[g.page_count++] = page;
  }
}

uint32_t range_of(uint64_t address) {
  for (size_t i = 0; i < range_count(); ++i) {
    const wire::WatchedRange& range = wanted().ranges[i];
    if (address >= range.begin && address < range.end) return static_cast<uint32_t>(i);
  }
  return kNoRange;
}

uint64_t mix(uint64_t hash, uint64_t value) {
  hash = (hash ^ value) * 0x9e3779b97f4a7c15;  // Fibonacci hashing
  return hash ^ hash >> 32;
}

// Of its kind, by thread, place in the code, word, and what the thread had done before.
bool noted_often(uint64_t address, bool write, uint64_t code) {
  const sched::Thread& thread = sched::self();
  uint64_t hash = mix(mix(sched::index_of(thread.id), code), address / sizeof address);
  hash = mix(hash, uint64_t{sched::operations_of(thread)} << 1 | (write ? 1 : 0)) | 1;
  for (size_t i = 0; i < kProbes; ++i) {
    Kind& kind = g_kinds[(hash + i) % kKinds];
    if (kind.hash != hash && kind.hash != 0) continue;
    kind.hash = hash;
    if (kind.count == kOfEachKind) return true;
    ++kind.count;
    return false;
  }
  return false;
}

void copy_value(uint32_t index, uint8_t (&to)[wire::kAccessValueBytes]) {
  const wire::WatchedRange& range = wanted().ranges[index];
  // Within the page that is open now.
  const uint64_t end = std::min(range.end, page_floor(range.begin) + kPageBytes);
  const uint64_t bytes = std::min<uint64_t>(end - range.begin, sizeof to);
  std::memset(to, 0, sizeof to);
  std::memcpy(to, pointer(range.begin), bytes);
}

void copy_stack(const ucontext_t& context, const sched::Thread& thread, wire::Access& access) {
  const auto top = static_cast<uint64_t>(context.uc_mcontext.gregs[REG_RSP]);
  access.stack_bytes = 0;
  if (top >= thread.stack_end || !kStackArena.contains(top)) return;
  const uint64_t bytes = std::min<uint64_t>(thread.stack_end - top, sizeof access.stack);
  std::memcpy(access.stack, pointer(top), bytes);
  access.stack_bytes = static_cast<uint32_t>(bytes);
}

void copy_locks(const sched::Thread& thread, wire::Access& access) {
  static_assert(wire::kAccessLocks == sched::Thread::kMaxLocks);
  access.lock_count = std::min(thread.locks_held, wire::kAccessLocks);
  for (uint32_t i = 0; i < access.lock_count; ++i) {
    access.locks[i] = reinterpret_cast<uint64_t>(thread.locks[i]);
  }
}

wire::Access& note(uint64_t address, bool write, uint32_t range, const ucontext_t& context) {
  wire::Access& access = notes().list[notes().count++ % wire::kMaxAccesses];
  const sched::Thread& thread = sched::self();
  access.address = address;
  access.thread = sched::index_of(thread.id);
  access.write = write ? 1 : 0;
  access.range = range;
  for (size_t i = 0; i < wire::kDwarfRegisters; ++i) {
    access.registers[i] = static_cast<uint64_t>(context.uc_mcontext.gregs[kRegisters[i]]);
  }
  access.position = sched::operations_of(thread);
  copy_locks(thread, access);
  access.runtime = in_runtime_text(access.registers[wire::kDwarfRegisters - 1]) ? 1 : 0;
  copy_value(range, access.before);
  copy_stack(context, thread, access);
  return access;
}

void run_others(Interruption&) { sched::yield(); }
void run_all_others(Interruption&) { sched::yield_to_all(); }

// xorshift64: the same seed makes the same choices.
uint32_t random() {
  g.random ^= g.random << 13;
  g.random ^= g.random >> 7;
  g.random ^= g.random << 17;
  return static_cast<uint32_t>(g.random >> 32);
}

bool may_change_places(ucontext_t& context) {
  return sched::carrier().current != nullptr && !in_runtime_text(reg(context, REG_RIP)) &&
         !sched::lock_held_by_this_carrier() && sched::anything_ready();
}

// True: others run before the interrupted code goes on. Some windows want one step of another
// thread, some all that the others can do.
bool change_places(const siginfo_t& info, ucontext_t& context) {
  if (g.change_every == 0 || !may_change_places(context)) return false;
  if (random() % g.change_every != 0) return false;
  const bool all = random() % 2 != 0;
  interrupt(context, info, below_red_zone(context), all ? run_all_others : run_others);
  return true;
}

void close_pages() {
  for (size_t i = 0; i < g.open_count; ++i) {
    if (is_watched(g.open[i])) set_protection(g.open[i], PROT_NONE);
  }
  g.open_count = 0;
}

}  // namespace

void begin_watch() {
  g = {};
  g.random = wanted().seed;
  // Where bytes are accessed often, a window may be cut to pieces by too many changes.
  g.change_every = g.random == 0 ? 0 : 2 << random() % 3;
  notes().count = 0;
  std::memset(g_kinds, 0, sizeof g_kinds);
  for (size_t i = 0; i < range_count(); ++i) add_pages(wanted().ranges[i]);
  g.active = g.page_count != 0;
}

void end_watch() {
  while (g.page_count != 0) forget(g.pages[g.page_count - 1]);
  g.active = false;
}

bool watching() { return g.active; }
bool stepping() { return g.open_count != 0; }

bool handle_watched_access(const siginfo_t& info, ucontext_t& context) {
  const auto address = reinterpret_cast<uint64_t>(info.si_addr);
  const uint64_t page = page_floor(address);
  if (!g.active || !is_watched(page) || g.open_count == kMaxOpen) return false;
  const uint32_t range = range_of(address);
  const bool write = (reg(context, REG_ERR) & kWriteFault) != 0;
  // Before the access: it faults again afterwards. Not between two operands of one instruction.
  if (range != kNoRange && g.open_count == 0 && change_places(info, context)) return true;
  if (write) (void)snapshot::handle_write_fault(address);  // the tracker's page, too
  set_protection(page, PROT_READ | PROT_WRITE);
  g.open[g.open_count++] = page;
  const bool threads = sched::carrier().current != nullptr;
  const bool noted = range != kNoRange && threads &&
                     (g.change_every != 0 || !noted_often(address, write, reg(context, REG_RIP)));
  if (noted) g.access = &note(address, write, range, context);
  reg(context, REG_EFL) |= kTrapFlag;
  return true;
}

bool handle_step(const siginfo_t& info, ucontext_t& context) {
  if (g.open_count == 0) return false;
  reg(context, REG_EFL) &= ~kTrapFlag;
  wire::Access* access = g.access;
  g.access = nullptr;
  if (access != nullptr) copy_value(access->range, access->after);
  close_pages();
  if (access != nullptr && access->runtime == 0) (void)change_places(info, context);
  return true;
}

void note_written(const snapshot::DirtyPages& dirty) {
  wire::Accesses& out = notes();
  out.written_count = 0;
  for (size_t i = 0; i < dirty.count && out.written_count < wire::kMaxWritten; ++i) {
    if (dirty.pages[i].kind != snapshot::Kind::kHashed) continue;
    out.written[out.written_count++] = dirty.pages[i].address;
  }
}

void stop_watching(const void* address, size_t bytes) {
  if (!g.active) return;
  const uint64_t begin = page_floor(reinterpret_cast<uint64_t>(address));
  const uint64_t end = reinterpret_cast<uint64_t>(address) + bytes;
  for (uint64_t page = begin; page < end; page += kPageBytes) {
    if (is_watched(page)) forget(page);
  }
}

}  // namespace evenkeel::shim
