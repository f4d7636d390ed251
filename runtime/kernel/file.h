#pragma once
// Regular files and directories, and whatever else the server opens for real.
//
// A file that is open several times is one Inode: what the batch has written to it, laid over the
// real file, which the primary changes when the batch commits. A File is an open file description;
// its offset is ours, the real descriptor's is never used (directories: set before each use).
//
// Promise: writes reach the file at commit and only by the primary; every replica reads its own
// batch's writes; a rollback drops them. Not promised: files changed by other processes while a
// batch runs, mappings of files that are written, order between a write (at commit) and a rename or
// unlink (at once) as others see it, locks held by a primary that dies.
//
// Order: all operations on a file's content are ordered on its Inode's version word; which Inode a
// name leads to, on the table's.
// Threads: kernel lock held, unless said otherwise. Memory: kernel arena.
#include <fcntl.h>
#include <sys/stat.h>

#include <cstdint>

#include "runtime/core/peer.h"
#include "runtime/core/sys.h"
#include "runtime/kernel/file_overlay.h"
#include "runtime/kernel/kernel.h"
#include "runtime/kernel/object.h"

namespace evenkeel::kernel {

struct Inode {
  Inode* next;  // in its bucket
  uint64_t device;
  uint64_t number;
  uint32_t references;  // open Files, and calls under way
  uint32_t released;    // command in which `references` last became 0
  uint32_t version;
  // Epoch (see current_epoch()) that the fields below belong to; what an earlier one left has been
  // committed and is dropped at the next change.
  uint32_t epoch;
  uint32_t flushes;  // number of times the pending limit was reached
  int writer_fd;     // real descriptor to write with
  bool sync;         // fsync() was asked for, or the file is open with O_SYNC
  Overlay overlay;
};

struct File {
  Object object;  // kFile; kPassed: forwarded to the real descriptor as it is
  Inode* inode;   // null: not a regular file, or a generated one
  uint64_t offset;
  int real_fd;
  uint32_t mode;  // st_mode when opened
  uint32_t open_flags;
  File* next;  // all Files
  File* previous;
};

void init_files();

// A File for a descriptor of the files' range (or, kPassed, any); it takes the descriptor over.
[[nodiscard]] File* create_file(const struct stat& info, int real_fd, uint32_t open_flags);
[[nodiscard]] File* create_passed(int real_fd, uint32_t open_flags, uint32_t mode);
[[nodiscard]] File* create_generated(int real_fd, uint32_t open_flags, uint32_t mode);

[[nodiscard]] File* file_of(int fd);  // null: not open, or not kFile
// The real descriptor behind a file, a passed or a standard one; else -EBADF. For mmap().
[[nodiscard]] long real_fd_of(int fd);
// For dirfd arguments: also AT_FDCWD. -EBADF, or -ENOTDIR for what has no real descriptor.
[[nodiscard]] long real_directory_of(int fd);

// Content; in the Inode's turn. Results as read(2), write(2).
long read_at(File& file, const Buffers& out, uint64_t offset);
long write_at(File& file, const Buffers& in, uint64_t offset);
long resize_file(File& file, uint64_t size, bool only_grow);
// -errno if the real file cannot be asked.
[[nodiscard]] long file_size(File& file);
// Refuses what cannot be read or written through this description; 0 if it can.
[[nodiscard]] long check_readable(const File& file);
[[nodiscard]] long check_writable(const File& file);

// fcntl(F_SETLK, F_GETLK, F_OFD_SETLK...), lock not held. The primary alone takes locks; what
// another process holds is not waited for.
[[nodiscard]] bool is_lock_command(int command);
long lock_record(int fd, int command, struct flock* lock);

// Lock not held: corrects what the real file system says about a file with pending changes.
void show_pending_changes(struct stat& info);

// ---- the pump's side

// Commands number epochs: the one whose kCommit came last.
[[nodiscard]] uint32_t current_epoch();
// A batch is agreed. The primary writes the pending changes out; everybody closes what is no longer
// open. Writes no tracked memory, so it may come before or after the image is brought up to date;
// the primary calls it before it stores log_sequence. Also for kAdopt, once memory is adopted.
void commit_files(bool is_primary);
// The primary died in the middle of committing, and this replica, which has done its own
// commit_files(false) and run nothing since, is its successor. Writing the same twice does no harm.
void commit_files_again();
// This replica has taken over the memory of another: opens the files that are open there.
sys::Result take_over_files(const Peer& peer);

}  // namespace evenkeel::kernel
