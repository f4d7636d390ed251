#pragma once
// The table of Inodes and what happens to them at commit. Private to the file calls.
#include "runtime/kernel/file.h"

namespace evenkeel::kernel {

struct FileTable {
  uint32_t version;  // orders look-ups
  File* files;
  uint32_t mask;  // what umask() was last given
  bool mask_known;
  Inode* buckets[256];
};
[[nodiscard]] FileTable& file_table();

// In the table's turn. Adds a reference. get_inode() creates, find_inode() may return null.
[[nodiscard]] Inode& get_inode(uint64_t device, uint64_t number);
[[nodiscard]] Inode* find_inode(uint64_t device, uint64_t number);
void release_inode(Inode& inode);

// In the Inode's turn, before its first change in an epoch: forgets what was committed and learns
// the file's size. 0 or -errno.
[[nodiscard]] long begin_changes(Inode& inode, int real_fd);
// True if the overlay is this epoch's and differs from the real file.
[[nodiscard]] bool has_pending(const Inode& inode);
// Makes room in a full overlay: the primary writes it out now.
[[nodiscard]] long flush_pending(Inode& inode);
// Writes the overlay to the real file. 0 or -errno.
long apply_pending(Inode& inode);
// Size of the real file, the same in every replica.
[[nodiscard]] long ask_size(int real_fd);

}  // namespace evenkeel::kernel
