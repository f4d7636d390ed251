#include "runtime/kernel/inode.h"

#include <fcntl.h>

#include <cerrno>

#include "runtime/core/arena.h"
#include "runtime/core/check.h"
#include "runtime/core/sys.h"
#include "runtime/core/text.h"
#include "runtime/kernel/memo.h"
#include "runtime/kernel/real_fd.h"

namespace evenkeel::kernel {
namespace {

constinit FileTable* g_table = nullptr;
// Runtime memory: a rollback does not undo a commit.
constinit uint32_t g_epoch = 0;
constinit uint32_t g_previous_epoch = 0;

uint32_t current_command() { return deck().command_sequence.load(std::memory_order_relaxed); }

Inode** bucket_of(uint64_t device, uint64_t number) {
  constexpr uint64_t kGolden = 0x9e37'79b9'7f4a'7c15;  // Fibonacci hashing
  return &g_table->buckets[((device ^ number) * kGolden) >> 56];
}

// Nobody uses it and nothing of it is pending. Decided by what was so when the command began (and
// by the table's order), so that replicas agree which Inodes a look-up finds.
bool is_dead(const Inode& inode) {
  return inode.references == 0 && inode.released != current_command() && !has_pending(inode);
}

void bury_dead(Inode** link) {
  while (Inode* inode = *link) {
    if (is_dead(*inode)) {
      *link = inode->next;
      inode->overlay.reset(0);
      arena::destroy(inode);
    } else {
      link = &inode->next;
    }
  }
}

long write_extent(int fd, uint64_t offset, const uint8_t* data, uint64_t bytes) {
  while (bytes != 0) {
    const auto written = sys::call(SYS_pwrite64, fd, sys::arg(data), static_cast<long>(bytes),
                                   static_cast<long>(offset));
    if (!written.ok() && written.err() == EINTR) continue;
    if (!written.ok()) return written.value();
    const auto count = static_cast<uint64_t>(written.value());
    if (count == 0) return -EIO;
    offset += count;
    data += count;
    bytes -= count;
  }
  return 0;
}

void report_lost_write(const Inode& inode, long error) {
  count_unhandled("file write failed at commit");
  Text<192> text;
  text.add("evenkeel: an agreed write to a file failed: inode=").add(inode.number);
  text.add(" errno=").add(-error).add("\n").write_to(2);
}

template <typename Visit>
void for_each_inode(Visit visit) {
  for (Inode* inode : g_table->buckets) {
    for (; inode != nullptr; inode = inode->next) visit(*inode);
  }
}

// Returns whether some stay open only for commit_files_again().
bool name_needed_files() {
  for (const File* file = g_table->files; file != nullptr; file = file->next) {
    if (is_file_fd(file->real_fd)) need_file_fd(file->real_fd);
  }
  bool kept = false;
  for_each_inode([&](const Inode& inode) {
    const bool just_committed = inode.epoch == g_previous_epoch;
    if (inode.writer_fd < 0 || (inode.references == 0 && !just_committed)) return;
    need_file_fd(inode.writer_fd);
    kept |= inode.references == 0;
  });
  return kept;
}

void close_what_is_not_open() {
  if (!file_fds_changed()) return;
  const bool kept = name_needed_files();
  close_unneeded_file_fds();
  if (kept) note_file_fd_released();  // the next commit looks again
}

void apply_all_pending() {
  for_each_inode([](Inode& inode) {
    if (!has_pending(inode)) return;
    const long error = apply_pending(inode);
    if (error < 0) report_lost_write(inode, error);
  });
}

}  // namespace

FileTable& file_table() { return *g_table; }
uint32_t current_epoch() { return g_epoch; }

void init_files() {
  g_table = arena::create<FileTable>();
  g_epoch = 1;  // a fresh Inode's 0 is none
  init_memo();
}

Inode* find_inode(uint64_t device, uint64_t number) {
  Inode** bucket = bucket_of(device, number);
  bury_dead(bucket);
  for (Inode* inode = *bucket; inode != nullptr; inode = inode->next) {
    if (inode->device != device || inode->number != number) continue;
    ++inode->references;
    return inode;
  }
  return nullptr;
}

Inode& get_inode(uint64_t device, uint64_t number) {
  if (Inode* found = find_inode(device, number)) return *found;
  auto* inode = arena::create<Inode>();
  Inode** bucket = bucket_of(device, number);
  inode->next = *bucket;
  *bucket = inode;
  inode->device = device;
  inode->number = number;
  inode->references = 1;
  inode->writer_fd = -1;
  return *inode;
}

void release_inode(Inode& inode) {
  EVENKEEL_CHECK(inode.references != 0);
  if (--inode.references == 0) inode.released = current_command();
}

bool has_pending(const Inode& inode) {
  return inode.epoch == g_epoch && (inode.overlay.changed() || inode.sync);
}

long ask_size(int real_fd) {
  Arguments arguments;
  arguments.add(static_cast<uint64_t>(real_fd));
  const MemoReply reply = memoise(wire::FileOp::kSize, arguments, 0, [&](uint8_t*, uint32_t&) {
    struct stat info;
    const auto result = sys::call(SYS_fstat, real_fd, sys::arg(&info));
    return result.ok() ? static_cast<long>(info.st_size) : result.value();
  });
  return reply.result;
}

long begin_changes(Inode& inode, int real_fd) {
  if (inode.epoch == g_epoch) return 0;
  const long size = ask_size(real_fd);
  if (size < 0) return size;
  inode.overlay.reset(static_cast<uint64_t>(size));
  inode.sync = false;
  inode.flushes = 0;
  inode.epoch = g_epoch;
  return 0;
}

long apply_pending(Inode& inode) {
  const Overlay& overlay = inode.overlay;
  const int fd = inode.writer_fd;
  uint64_t real_end = overlay.real_visible();
  long error = 0;
  if (real_end < overlay.real_size()) {
    error = sys::call(SYS_ftruncate, fd, static_cast<long>(real_end)).value();
  }
  overlay.for_each(0, UINT64_MAX, [&](uint64_t offset, const uint8_t* data, uint64_t bytes) {
    if (error < 0) return;
    error = write_extent(fd, offset, data, bytes);
    if (offset + bytes > real_end) real_end = offset + bytes;
  });
  if (error >= 0 && real_end != overlay.size()) {
    error = sys::call(SYS_ftruncate, fd, static_cast<long>(overlay.size())).value();
  }
  if (error >= 0 && inode.sync) error = sys::call(SYS_fdatasync, fd).value();
  return error < 0 ? error : 0;
}

long flush_pending(Inode& inode) {
  count_unhandled("file writes flushed before agreement");
  Arguments arguments;
  arguments.add(inode.device).add(inode.number).add(inode.flushes++);
  const MemoReply reply = memoise(wire::FileOp::kFlush, arguments, 0,
                                  [&](uint8_t*, uint32_t&) { return apply_pending(inode); });
  if (reply.result < 0) return reply.result;
  inode.overlay.reset(inode.overlay.size());
  return 0;
}

void commit_files(bool is_primary) {
  if (is_primary) apply_all_pending();
  commit_memos(is_primary);
  g_previous_epoch = g_epoch;
  g_epoch = current_command();
  close_what_is_not_open();
}

void commit_files_again() {
  const uint32_t epoch = g_epoch;
  g_epoch = g_previous_epoch;
  apply_all_pending();
  commit_memos(true);
  g_epoch = epoch;
}

sys::Result take_over_files(const Peer& peer) {
  auto taken = peer.take(g_epoch);
  if (taken.ok()) taken = peer.take(g_previous_epoch);
  if (!taken.ok()) return taken;
  // Some are written by no File that is still open; a File's own access mode comes after.
  for_each_inode([&](const Inode& inode) {
    if (inode.writer_fd < 0 || inode.references == 0) return;
    (void)open_same_file(peer.pid(), inode.writer_fd, O_WRONLY, nullptr, 0, 0);
  });
  for (File* file = g_table->files; file != nullptr; file = file->next) {
    if (!is_file_fd(file->real_fd)) continue;
    struct stat info;
    const long flags = file->open_flags & (O_ACCMODE | O_PATH | O_DIRECTORY);
    const long opened =
        open_same_file(peer.pid(), file->real_fd, static_cast<int>(flags), nullptr, 0, 0);
    if (opened < 0 || !sys::call(SYS_fstat, opened, sys::arg(&info)).ok()) {
      count_unhandled("file not taken over from another replica");
    }
  }
  close_what_is_not_open();
  return taken;
}

}  // namespace evenkeel::kernel
