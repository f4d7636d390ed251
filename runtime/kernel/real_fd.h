#pragma once
// Real descriptors behind virtual ones. They lie far above the numbers that the server sees:
//
//   runtime_fd_base()          deck, image...: whoever opens them moves them with move_fd_high()
//   [file_fd_base(), +count)   open files, below: the same number for the same file in every
//   replica,
//                              so that the numbers, which lie in tracked memory, mean the same
//                              everywhere, also after one replica took over another's memory
//
// The primary chooses a file's number; the followers open the file through the primary's descriptor
// (/proc/<pid>/fd/<n>), which finds it also when it has been renamed or removed since.
//
// Open real files are runtime state: a rollback leaves them open. When a batch commits, those that
// no object refers to any more are closed. Threads: kernel lock held or not; each number has one
// user. Errors: -errno.
#include <sys/stat.h>

#include <cstdint>

#include "runtime/kernel/fd_table.h"

namespace evenkeel::kernel {

constexpr int kMaxFileFds = 32768;  // more open files: EMFILE

// Raises the real limit as far as it goes and places the two ranges. Before any other call here; a
// second call does nothing.
void init_real_fds();
[[nodiscard]] int runtime_fd_base();
[[nodiscard]] int file_fd_base();
[[nodiscard]] bool is_file_fd(int real_fd);

// Moves a descriptor of the runtime out of the server's sight; returns the new number.
[[nodiscard]] int move_fd_high(int fd);

// The next free number of the files' range for this descriptor, which is closed.
[[nodiscard]] long adopt_file_fd(int fd);
// The same with a number chosen before, by the primary.
[[nodiscard]] long place_file_fd(int fd, int real_fd);
// A follower: opens what `real_fd` is in the process `pid`, under the same number. `path` is tried
// if that process does not let us; device and inode say which file it must be (0: any). open_flags:
// access mode, O_PATH, O_DIRECTORY.
[[nodiscard]] long open_same_file(int pid, int real_fd, int open_flags, const char* path,
                                  uint64_t device, uint64_t inode);

// Committing: names every open file that is still needed, then closes the others. Only if something
// was opened or released since the last time.
void note_file_fd_released();
[[nodiscard]] bool file_fds_changed();
void need_file_fd(int real_fd);
void close_unneeded_file_fds();

// The server's own soft limit, before init_real_fds() raised the real one.
[[nodiscard]] uint64_t server_fd_limit();

}  // namespace evenkeel::kernel
