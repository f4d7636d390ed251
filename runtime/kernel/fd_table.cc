#include "runtime/kernel/fd_table.h"

#include <cerrno>

#include "runtime/core/arena.h"
#include "runtime/sched/carrier.h"
#include "runtime/sched/order.h"

namespace evenkeel::kernel {
namespace {

using sched::OrderedGuard;
using sched::Tag;

struct Slot {
  Object* object;
  bool close_on_exec;
  bool kept;      // closed, but not free before the command ends
  int next_kept;  // descriptor + 1; 0: the last
};
struct Table {
  uint32_t version;
  int first_kept;   // descriptor + 1
  int limit;        // soft RLIMIT_NOFILE
  int lowest_hint;  // no free slot below
  int highest;      // no open slot above
  Slot slots[kMaxFds];
};
constinit Table* g_table = nullptr;

bool in_range(int fd) { return fd >= 0 && fd < kMaxFds; }

// Lock held. Lowest free number >= lowest, or -1.
int find_free(int lowest) {
  int fd = lowest > g_table->lowest_hint ? lowest : g_table->lowest_hint;
  const auto taken = [](const Slot& slot) { return slot.object != nullptr || slot.kept; };
  while (fd < g_table->limit && taken(g_table->slots[fd])) ++fd;
  if (lowest <= g_table->lowest_hint) g_table->lowest_hint = fd;
  return fd < g_table->limit ? fd : -1;
}

void occupy(int fd, Object& object, bool cloexec) {
  // Release: a lookup without the lock sees a complete object.
  g_table->slots[fd].close_on_exec = cloexec;
  __atomic_store_n(&g_table->slots[fd].object, &object, __ATOMIC_RELEASE);
  if (fd > g_table->highest) g_table->highest = fd;
}

// Lock held. Returns the object that was there, whose reference is now the caller's.
Object* vacate(int fd) {
  Object* object = g_table->slots[fd].object;
  g_table->slots[fd].object = nullptr;
  g_table->slots[fd].close_on_exec = false;
  if (fd < g_table->lowest_hint) g_table->lowest_hint = fd;
  return object;
}

// Lock held. What annotated requests close at the same time as others open has no order that
// replicas would share: its number is not used again in this command.
void keep_number(int fd) {
  if (!sched::started() || sched::self().request == 0) return;
  g_table->slots[fd].kept = true;
  g_table->slots[fd].next_kept = g_table->first_kept;
  g_table->first_kept = fd + 1;
}

void free_kept() {
  while (g_table->first_kept != 0) {
    const int fd = g_table->first_kept - 1;
    g_table->first_kept = g_table->slots[fd].next_kept;
    g_table->slots[fd].kept = false;
    g_table->slots[fd].next_kept = 0;
    if (fd < g_table->lowest_hint) g_table->lowest_hint = fd;
  }
}

// An object's end is ordered like any other operation on it. Its domain is read first, because the
// last release frees the object.
void release_in_order(Object& object) {
  OrderedGuard guard(*object.order, Tag::kObject);
  release(object);
}

}  // namespace

void init_fds() {
  g_table = arena::create<Table>();
  g_table->limit = 1024;
  g_table->highest = -1;
}

void set_fd_limit(uint32_t soft) {
  g_table->limit = soft < static_cast<uint32_t>(kMaxFds) ? static_cast<int>(soft) : kMaxFds;
}

Object* object_of(int fd) {
  if (!in_range(fd)) return nullptr;
  return __atomic_load_n(&g_table->slots[fd].object, __ATOMIC_ACQUIRE);  // pairs with occupy()
}

long install(Object& object, bool cloexec, int lowest) {
  {
    OrderedGuard guard(g_table->version, Tag::kTable);
    int fd = find_free(lowest);
    if (fd < 0 && g_table->first_kept != 0) {
      free_kept();
      fd = find_free(lowest);
    }
    if (fd >= 0) {
      occupy(fd, object, cloexec);
      return fd;
    }
  }
  release_in_order(object);
  return -EMFILE;
}

void preinstall(int fd, Object& object) { occupy(fd, object, false); }

long close_fd(int fd) {
  if (!in_range(fd)) return -EBADF;
  Object* object = nullptr;
  {
    OrderedGuard guard(g_table->version, Tag::kTable);
    if (g_table->slots[fd].object == nullptr) return -EBADF;
    object = vacate(fd);
    keep_number(fd);
  }
  release_in_order(*object);
  return 0;
}

long duplicate(int fd, int lowest, bool cloexec) {
  OrderedGuard guard(g_table->version, Tag::kTable);
  Object* object = object_of(fd);
  if (object == nullptr) return -EBADF;
  if (lowest < 0 || lowest >= g_table->limit) return -EINVAL;
  const int copy = find_free(lowest);
  if (copy < 0) return -EMFILE;
  retain(*object);
  occupy(copy, *object, cloexec);
  return copy;
}

long duplicate_to(int fd, int target, bool cloexec) {
  Object* replaced = nullptr;
  {
    OrderedGuard guard(g_table->version, Tag::kTable);
    Object* object = object_of(fd);
    if (object == nullptr || target < 0 || target >= g_table->limit) return -EBADF;
    if (fd == target) return target;
    replaced = vacate(target);
    retain(*object);
    occupy(target, *object, cloexec);
  }
  if (replaced != nullptr) release_in_order(*replaced);
  return target;
}

void replace(int fd, Object& object) {
  Object* replaced = nullptr;
  {
    OrderedGuard guard(g_table->version, Tag::kTable);
    replaced = g_table->slots[fd].object;
    occupy(fd, object, g_table->slots[fd].close_on_exec);
  }
  if (replaced != nullptr) release_in_order(*replaced);
}

bool close_on_exec(int fd) { return in_range(fd) && g_table->slots[fd].close_on_exec; }
void set_close_on_exec(int fd, bool on) {
  if (object_of(fd) != nullptr) g_table->slots[fd].close_on_exec = on;
}

void end_descriptors() {
  if (g_table->first_kept != 0) free_kept();
}

int next_open_fd(int from) {
  for (int fd = from < 0 ? 0 : from; fd <= g_table->highest; ++fd) {
    if (g_table->slots[fd].object != nullptr) return fd;
  }
  return -1;
}

}  // namespace evenkeel::kernel
