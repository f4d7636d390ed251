// Calls that change names and attributes: executed at once, by the primary, because their order
// with each other and with open() is what programs rely on. See memo.h for what a rollback means to
// them.
#include <fcntl.h>
#include <limits.h>
#include <time.h>
#include <utime.h>

#include <cerrno>
#include <cstring>

#include "runtime/core/sys.h"
#include "runtime/kernel/dispatch.h"
#include "runtime/kernel/fd_table.h"
#include "runtime/kernel/inode.h"
#include "runtime/kernel/memo.h"
#include "runtime/sched/clock.h"
#include "runtime/sched/lock.h"

namespace evenkeel::kernel {
namespace {

using wire::FileOp;

// One letter per argument:
//   d  directory descriptor or AT_FDCWD, for the path that follows
//   f  descriptor
//   p  path; may be null
//   v  value
struct Change {
  FileOp op;
  const char* shape;
};

// A directory descriptor beside an absolute path does not matter and may be anything.
long real_argument(const Call& call, const char* shape, int i) {
  if (shape[i] == 'f') return real_fd_of(call.integer(i));
  if (shape[i] != 'd') return static_cast<long>(call.args[i]);
  const char* path = call.pointer<const char>(i + 1);
  if (path != nullptr && path[0] == '/') return AT_FDCWD;
  return real_directory_of(call.integer(i));
}

void add_argument(Arguments& arguments, const Call& call, const char* shape, int i) {
  const char* path = call.pointer<const char>(i);
  if (shape[i] == 'p' && path != nullptr) {
    arguments.add(path);
  } else if (shape[i] == 'v') {
    arguments.add(call.args[i]);
  } else {
    arguments.add(static_cast<uint64_t>(call.integer(i)));
  }
}

long change(const Call& call, const Change& what, Arguments arguments = {}) {
  long real[6] = {};
  for (int i = 0; what.shape[i] != '\0'; ++i) {
    const char letter = what.shape[i];
    real[i] = real_argument(call, what.shape, i);
    const bool descriptor = letter == 'f' || letter == 'd';
    if (descriptor && real[i] < 0 && real[i] != AT_FDCWD) return real[i];
    add_argument(arguments, call, what.shape, i);
  }
  return memoise(
             what.op, arguments.add(static_cast<uint64_t>(call.number)), 0,
             [&](uint8_t*, uint32_t&) {
               return sys::call(call.number, real[0], real[1], real[2], real[3], real[4]).value();
             })
      .result;
}

// ---- times

// "Now" is the batch's time, so that what is written does not depend on who writes it when.
timespec batch_now() {
  constexpr uint64_t kSecond_ns = 1'000'000'000;
  const uint64_t now = sched::batch_time().realtime_ns;
  return {static_cast<time_t>(now / kSecond_ns), static_cast<long>(now % kSecond_ns)};
}

void resolve(timespec& time) {
  if (time.tv_nsec == UTIME_NOW) time = batch_now();
}

// Asked with explicit times, a file that the caller may write but does not own refuses, where "now"
// would do: then the real now is set.
long set_times(int directory, const char* path, timespec (&times)[2], bool both_now, int flags) {
  resolve(times[0]);
  resolve(times[1]);
  Arguments arguments;
  for (const timespec& t : times) {
    arguments.add(static_cast<uint64_t>(t.tv_sec)).add(static_cast<uint64_t>(t.tv_nsec));
  }
  const bool by_descriptor = path == nullptr;
  const long real = by_descriptor    ? real_fd_of(directory)
                    : path[0] == '/' ? AT_FDCWD
                                     : real_directory_of(directory);
  if (real < 0 && real != AT_FDCWD) return real;
  arguments.add(static_cast<uint64_t>(directory)).add(by_descriptor ? "" : path);
  arguments.add(static_cast<uint64_t>(flags));
  return memoise(FileOp::kUtimens, arguments, 0,
                 [&](uint8_t*, uint32_t&) {
                   auto result =
                       sys::call(SYS_utimensat, real, sys::arg(path), sys::arg(&times), flags);
                   if (result.err() == EPERM && both_now) {
                     result = sys::call(SYS_utimensat, real, sys::arg(path), 0, flags);
                   }
                   return result.value();
                 })
      .result;
}

constexpr long kMicrosecond_ns = 1000;

bool from_timevals(const timeval* given, timespec (&times)[2]) {
  for (int i = 0; i < 2; ++i) {
    if (given[i].tv_usec < 0 || given[i].tv_usec >= 1'000'000) return false;
    times[i] = {given[i].tv_sec, given[i].tv_usec * kMicrosecond_ns};
  }
  return true;
}

long set_timevals(int directory, const char* path, const timeval* given) {
  timespec times[2] = {{0, UTIME_NOW}, {0, UTIME_NOW}};
  if (given != nullptr && !from_timevals(given, times)) return -EINVAL;
  return set_times(directory, path, times, given == nullptr, 0);
}

// ---- where the process stands

long change_directory(long result) {
  // The real working directory is not rolled back, and a relative change must not be made twice.
  if (result == 0 && sched::batch_time().batch != 0) {
    count_unhandled("chdir after the start");
  }
  return result;
}

}  // namespace

long sys_unlink(const Call& call) { return change(call, {FileOp::kUnlink, "p"}); }
long sys_unlinkat(const Call& call) { return change(call, {FileOp::kUnlink, "dpv"}); }
long sys_rmdir(const Call& call) { return change(call, {FileOp::kUnlink, "p"}); }
long sys_rename(const Call& call) { return change(call, {FileOp::kRename, "pp"}); }
long sys_renameat(const Call& call) { return change(call, {FileOp::kRename, "dpdp"}); }
long sys_renameat2(const Call& call) { return change(call, {FileOp::kRename, "dpdpv"}); }
long sys_mkdir(const Call& call) { return change(call, {FileOp::kMkdir, "pv"}); }
long sys_mkdirat(const Call& call) { return change(call, {FileOp::kMkdir, "dpv"}); }
long sys_link(const Call& call) { return change(call, {FileOp::kLink, "pp"}); }
long sys_linkat(const Call& call) { return change(call, {FileOp::kLink, "dpdpv"}); }
long sys_symlink(const Call& call) { return change(call, {FileOp::kSymlink, "pp"}); }
long sys_symlinkat(const Call& call) { return change(call, {FileOp::kSymlink, "pdp"}); }
long sys_mknod(const Call& call) { return change(call, {FileOp::kMknod, "pvv"}); }
long sys_mknodat(const Call& call) { return change(call, {FileOp::kMknod, "dpvv"}); }
long sys_chmod(const Call& call) { return change(call, {FileOp::kChmod, "pv"}); }
long sys_fchmod(const Call& call) { return change(call, {FileOp::kChmod, "fv"}); }
long sys_fchmodat(const Call& call) { return change(call, {FileOp::kChmod, "dpv"}); }
long sys_chown(const Call& call) { return change(call, {FileOp::kChown, "pvv"}); }
long sys_lchown(const Call& call) { return change(call, {FileOp::kChown, "pvv"}); }
long sys_fchown(const Call& call) { return change(call, {FileOp::kChown, "fvv"}); }
long sys_fchownat(const Call& call) { return change(call, {FileOp::kChown, "dpvvv"}); }

long sys_utimensat(const Call& call) {
  const auto* given = call.pointer<const timespec>(2);
  timespec times[2] = {{0, UTIME_NOW}, {0, UTIME_NOW}};
  if (given != nullptr) std::memcpy(times, given, sizeof times);
  const bool both_now = times[0].tv_nsec == UTIME_NOW && times[1].tv_nsec == UTIME_NOW;
  return set_times(call.integer(0), call.pointer<const char>(1), times, both_now, call.integer(3));
}

long sys_futimesat(const Call& call) {
  return set_timevals(call.integer(0), call.pointer<const char>(1), call.pointer<const timeval>(2));
}

long sys_utimes(const Call& call) {
  return set_timevals(AT_FDCWD, call.pointer<const char>(0), call.pointer<const timeval>(1));
}

long sys_utime(const Call& call) {
  const auto* given = call.pointer<const utimbuf>(1);
  timespec times[2] = {{0, UTIME_NOW}, {0, UTIME_NOW}};
  if (given != nullptr) {
    times[0] = {given->actime, 0};
    times[1] = {given->modtime, 0};
  }
  return set_times(AT_FDCWD, call.pointer<const char>(0), times, given == nullptr, 0);
}

// Every replica stands somewhere for itself, but where is decided once: a follower comes to a
// directory that the primary may have removed since.
long sys_chdir(const Call& call) {
  const long fd = kernel::call(SYS_open, call.args[0], O_PATH | O_DIRECTORY | O_CLOEXEC, 0);
  if (fd < 0) return fd;
  const long result = kernel::call(SYS_fchdir, fd);
  close_fd(static_cast<int>(fd));
  return result;
}

long sys_fchdir(const Call& call) {
  const long real = real_directory_of(call.integer(0));
  if (call.integer(0) == AT_FDCWD) return -EBADF;
  return real < 0 ? real : change_directory(sys::call(SYS_fchdir, real).value());
}

long sys_getcwd(const Call& call) {
  const auto room = static_cast<uint32_t>(call.args[1] < PATH_MAX ? call.args[1] : PATH_MAX);
  const MemoReply reply = memoise(FileOp::kReadlink, Arguments().add("getcwd").add(room), room,
                                  [&](uint8_t* payload, uint32_t& bytes) {
                                    const auto got = sys::call(SYS_getcwd, sys::arg(payload), room);
                                    bytes = got.ok() ? static_cast<uint32_t>(got.value()) : 0;
                                    return got.value();
                                  });
  if (reply.result > 0) std::memcpy(call.pointer<void>(0), reply.payload, reply.payload_bytes);
  return reply.result;
}

// The real mask follows, so that the primary creates files with it. After a rollback it is still
// the rolled-back execution's: what the server asked for last is remembered.
long sys_umask(const Call& call) {
  sched::Guard guard;
  FileTable& table = file_table();
  const uint32_t wanted = call.word(0) & 0777;
  const auto real = static_cast<uint32_t>(sys::call(SYS_umask, wanted).value());
  const uint32_t before = table.mask_known ? table.mask : real;
  table.mask = wanted;
  table.mask_known = true;
  return before;
}

}  // namespace evenkeel::kernel
