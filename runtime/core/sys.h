#pragma once
// The only door from injected code to the kernel. Raw system calls: never libc's wrappers (those
// are what we interpose), never errno (the caller's errno is his).
// Threads: any. Memory: none. Errors: inside Result.
#include <sys/syscall.h>

#include <atomic>
#include <cerrno>
#include <cstddef>
#include <cstdint>

struct timespec;

namespace evenkeel::sys {

// Kernel return convention: [-4095, -1] is -errno, anything else is the value.
class [[nodiscard]] Result {
 public:
  explicit constexpr Result(long raw) : raw_(raw) {}
  [[nodiscard]] constexpr bool ok() const { return raw_ >= 0 || raw_ < -4095; }
  [[nodiscard]] constexpr int err() const { return ok() ? 0 : static_cast<int>(-raw_); }
  [[nodiscard]] constexpr long value() const { return raw_; }
  // For calls whose failure has no consequence worth handling; the caller says why.
  constexpr void ignore() const {}

 private:
  long raw_;
};

// Any call, by number. The named ones below are for readability; add one when it is used twice.
Result call(long number, long a = 0, long b = 0, long c = 0, long d = 0, long e = 0, long f = 0);

template <typename T>
long arg(T* pointer) {
  return reinterpret_cast<long>(pointer);
}

Result write(int fd, const void* data, size_t bytes);
Result read(int fd, void* data, size_t bytes);
Result open(const char* path, int flags, int mode = 0);
Result close(int fd);
Result mmap(void* address, size_t bytes, int protection, int flags, int fd, uint64_t offset);
Result munmap(void* address, size_t bytes);
Result mprotect(void* address, size_t bytes, int protection);
Result madvise(void* address, size_t bytes, int advice);
Result ioctl(int fd, unsigned long request, void* argument);
Result clock_gettime(int clock, timespec* out);
Result gettid();
Result getpid();
[[noreturn]] void exit_group(int status);

// Futex on a word shared with other processes or threads. Timeouts are relative, in nanoseconds;
// kNoTimeout waits for ever. A wait returns ok, EAGAIN (the word differs), EINTR or ETIMEDOUT.
constexpr uint64_t kNoTimeout = UINT64_MAX;
Result futex_wait(std::atomic<uint32_t>& word, uint32_t expected, uint64_t timeout_ns = kNoTimeout);
Result futex_wake(std::atomic<uint32_t>& word, int count);

// CLOCK_MONOTONIC in nanoseconds, from the kernel itself: inside a replica the vDSO is ours.
uint64_t monotonic_ns();

}  // namespace evenkeel::sys
