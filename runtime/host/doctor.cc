#include "runtime/host/doctor.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <linux/prctl.h>
#include <linux/userfaultfd.h>
#include <sys/auxv.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/personality.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/utsname.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <fstream>
#include <functional>
#include <thread>

#include "runtime/host/fd.h"
#include "runtime/host/refusal.h"
#include "runtime/host/server_file.h"

namespace evenkeel::host {
namespace {

// Kernel interfaces newer than the headers of Debian 12 (Linux 6.1).
constexpr uint64_t kUffdFeatureWpAsync = uint64_t{1} << 15;  // UFFD_FEATURE_WP_ASYNC, Linux 6.7
struct PagemapScanArguments {                                // struct pm_scan_arg, Linux 6.7
  uint64_t size, flags, start, end, walk_end, vec, vec_len, max_pages;
  uint64_t category_inverted, category_mask, category_anyof_mask, return_mask;
};
constexpr unsigned long kPagemapScan = _IOWR('f', 16, PagemapScanArguments);
constexpr int kSetSyscallUserDispatch = 59;  // PR_SET_SYSCALL_USER_DISPATCH, Linux 5.11
constexpr unsigned long kHwcap2Fsgsbase = 1 << 1;
constexpr uint64_t kComfortableProcesses = 256;

// In a child, so that what it changes is gone with it.
bool works_in_child(const std::function<bool()>& probe) {
  const pid_t pid = ::fork();
  if (pid == 0) ::_exit(probe() ? 0 : 1);
  int status = 1;
  while (pid > 0 && ::waitpid(pid, &status, 0) < 0 && errno == EINTR) {
  }
  return pid > 0 && WIFEXITED(status) && WEXITSTATUS(status) == 0;
}

bool has_async_write_protect() {
  const Fd fd(static_cast<int>(::syscall(SYS_userfaultfd, O_CLOEXEC | UFFD_USER_MODE_ONLY)));
  if (!fd.valid()) return false;
  uffdio_api api{};
  api.api = UFFD_API;
  api.features = kUffdFeatureWpAsync;
  return ::ioctl(fd.get(), UFFDIO_API, &api) == 0;
}

bool has_pagemap_scan() {
  const Fd fd(::open("/proc/self/pagemap", O_RDONLY | O_CLOEXEC));
  PagemapScanArguments arguments{};
  arguments.size = sizeof arguments;  // an empty range: nothing to report
  return fd.valid() && ::ioctl(fd.get(), kPagemapScan, &arguments) == 0;
}

bool has_syscall_dispatch() {
  return works_in_child([] {
    static volatile char selector = 0;  // SYSCALL_DISPATCH_FILTER_ALLOW
    return ::prctl(kSetSyscallUserDispatch, 1, 0, 0, &selector) == 0;
  });
}

bool may_fix_addresses() {
  return works_in_child([] { return ::personality(ADDR_NO_RANDOMIZE) >= 0; });
}

std::string first_line(const char* path) {
  std::ifstream file(path);
  std::string line;
  std::getline(file, line);
  return line;
}

Finding kernel() {
  utsname name{};
  ::uname(&name);
  return {"kernel", fmt::format("{} {}", name.sysname, name.release), true, true, ""};
}

Finding processor() {
  const bool good = (::getauxval(AT_HWCAP2) & kHwcap2Fsgsbase) != 0;
  return {"FSGSBASE", good ? "yes: threads are switched by wrfsbase" : "no: by arch_prctl, slower",
          good, false,
          good ? "" : "Linux 5.9 on a processor since Ivy Bridge; not with nofsgsbase"};
}

Finding tracker() {
  const bool protect = has_async_write_protect();
  const bool scan = has_pagemap_scan();
  if (protect && scan) return {"page tracker", "userfaultfd and PAGEMAP_SCAN", true, false, ""};
  return {"page tracker",
          fmt::format("mprotect, slower ({} missing)",
                      protect ? "PAGEMAP_SCAN" : "asynchronous userfaultfd"),
          false, false,
          "Linux 6.7 or newer; in a container allow userfaultfd(2) in the seccomp profile"};
}

Finding dispatch() {
  const bool good = has_syscall_dispatch();
  return {"syscall user dispatch", good ? "yes" : "no", good, true,
          good ? "" : "Linux 5.11 or newer on x86-64, and no seccomp rule against prctl(59)"};
}

Finding fixed_addresses() {
  const bool good = may_fix_addresses();
  return {"fixed addresses", good ? "personality(ADDR_NO_RANDOMIZE) is allowed" : "refused", good,
          true, good ? "" : "in a container: --security-opt seccomp=unconfined"};
}

Finding memory_files() {
  const Fd fd(::memfd_create("evenkeel-doctor", MFD_CLOEXEC));
  return {"memory files", fd.valid() ? "memfd_create works" : std::strerror(errno), fd.valid(),
          true, fd.valid() ? "" : "allow memfd_create(2)"};
}

Finding overcommit() {
  const std::string mode = first_line("/proc/sys/vm/overcommit_memory");
  const bool good = mode != "2";
  return {"overcommit", good ? fmt::format("mode {}", mode) : "mode 2: address space is limited",
          good, true, good ? "" : "sysctl vm.overcommit_memory=0: arenas are reserved, not used"};
}

Finding threads() {
  rlimit limit{};
  ::getrlimit(RLIMIT_NPROC, &limit);
  const bool good = limit.rlim_cur >= kComfortableProcesses;
  const std::string count =
      limit.rlim_cur == RLIM_INFINITY ? "no limit" : fmt::format("at most {}", limit.rlim_cur);
  return {
      "processes and threads",
      fmt::format("{} per user, {} in the system, {} processors", count,
                  first_line("/proc/sys/kernel/threads-max"), std::thread::hardware_concurrency()),
      good, false, good ? "" : "raise it with ulimit -u"};
}

Finding library() {
  try {
    return {"libevenkeel.so", find_library(), true, true, ""};
  } catch (const Refusal& refusal) {
    return {"libevenkeel.so", refusal.what(), false, true, refusal.next_step()};
  }
}

}  // namespace

std::vector<Finding> examine_machine() {
  return {kernel(),  dispatch(),  fixed_addresses(), memory_files(), overcommit(),
          tracker(), processor(), threads(),         library()};
}

bool print_findings(const std::vector<Finding>& findings) {
  bool can_run = true;
  for (const Finding& finding : findings) {
    const char* mark = finding.good ? "ok" : finding.required ? "MISSING" : "slower";
    fmt::print("{:<8} {:<22} {}\n", mark, finding.what, finding.state);
    if (!finding.remedy.empty()) fmt::print("{:<31} to get it: {}\n", "", finding.remedy);
    can_run = can_run && (finding.good || !finding.required);
  }
  fmt::print("{}\n", can_run ? "evenkeel can run here" : "evenkeel cannot run here");
  return can_run;
}

}  // namespace evenkeel::host
