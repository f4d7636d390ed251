#include <linux/futex.h>
#include <time.h>

#include "runtime/core/sys.h"

namespace evenkeel::sys {

Result call(long number, long a, long b, long c, long d, long e, long f) {
  long ret;
  register long r10 asm("r10") = d;
  register long r8 asm("r8") = e;
  register long r9 asm("r9") = f;
  asm volatile("syscall"
               : "=a"(ret)
               : "a"(number), "D"(a), "S"(b), "d"(c), "r"(r10), "r"(r8), "r"(r9)
               : "rcx", "r11", "memory");
  return Result(ret);
}

Result write(int fd, const void* data, size_t bytes) {
  return call(SYS_write, fd, arg(data), static_cast<long>(bytes));
}
Result read(int fd, void* data, size_t bytes) {
  return call(SYS_read, fd, arg(data), static_cast<long>(bytes));
}
Result open(const char* path, int flags, int mode) {
  constexpr int kCurrentDirectory = -100;  // AT_FDCWD
  return call(SYS_openat, kCurrentDirectory, arg(path), flags, mode);
}
Result close(int fd) { return call(SYS_close, fd); }
Result mmap(void* address, size_t bytes, int protection, int flags, int fd, uint64_t offset) {
  return call(SYS_mmap, arg(address), static_cast<long>(bytes), protection, flags, fd,
              static_cast<long>(offset));
}
Result munmap(void* address, size_t bytes) {
  return call(SYS_munmap, arg(address), static_cast<long>(bytes));
}
Result mprotect(void* address, size_t bytes, int protection) {
  return call(SYS_mprotect, arg(address), static_cast<long>(bytes), protection);
}
Result madvise(void* address, size_t bytes, int advice) {
  return call(SYS_madvise, arg(address), static_cast<long>(bytes), advice);
}
Result ioctl(int fd, unsigned long request, void* argument) {
  return call(SYS_ioctl, fd, static_cast<long>(request), arg(argument));
}
Result clock_gettime(int clock, timespec* out) {
  return call(SYS_clock_gettime, clock, arg(out));
}
Result gettid() { return call(SYS_gettid); }
Result getpid() { return call(SYS_getpid); }
void exit_group(int status) {
  for (;;) call(SYS_exit_group, status).ignore();
}

Result futex_wait(std::atomic<uint32_t>& word, uint32_t expected, uint64_t timeout_ns) {
  constexpr uint64_t kSecond = 1'000'000'000;
  timespec timeout{static_cast<time_t>(timeout_ns / kSecond),
                   static_cast<long>(timeout_ns % kSecond)};
  return call(SYS_futex, arg(&word), FUTEX_WAIT, expected,
              timeout_ns == kNoTimeout ? 0 : arg(&timeout));
}
Result futex_wake(std::atomic<uint32_t>& word, int count) {
  return call(SYS_futex, arg(&word), FUTEX_WAKE, count);
}

uint64_t monotonic_ns() {
  timespec now{};
  sys::clock_gettime(CLOCK_MONOTONIC, &now).ignore();  // cannot fail for this clock
  return static_cast<uint64_t>(now.tv_sec) * 1'000'000'000 + static_cast<uint64_t>(now.tv_nsec);
}

}  // namespace evenkeel::sys
