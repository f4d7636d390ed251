#pragma once
// Files that the kernel generates when they are read: regular files of /proc and /sys, opened for
// reading. Each replica would read something else (its own memory use, its own time), so the
// primary reads and all get what it read, once for a batch and its repetitions.
// Threads: kernel lock held; own_proc_path() anywhere. Memory: none. Errors: -errno of the read.
#include <cstdint>

#include "runtime/kernel/file.h"

namespace evenkeel::kernel {

[[nodiscard]] bool has_prefix(const char* path, const char* prefix);
[[nodiscard]] bool is_generated_path(const char* path);
// Whether a descriptor opened there with `open_flags` can be read as such. Otherwise (written to,
// or a stream) it stays real.
[[nodiscard]] bool is_generated(const char* path, uint32_t mode, uint32_t open_flags, int real_fd);

// getpid() names the coordinator, the server means itself: /proc/PID/x becomes /proc/self/x, in
// `room`. Other paths, and longer ones, are returned as they are.
constexpr uint32_t kOwnPathBytes = 128;
[[nodiscard]] const char* own_proc_path(const char* path, char (&room)[kOwnPathBytes]);

// At most one piece; callers read until 0, as the kernel's own sequence files make them.
long read_generated(const File& file, const Buffers& out, uint64_t offset);

}  // namespace evenkeel::kernel
