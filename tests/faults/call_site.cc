#include "tests/faults/call_site.h"

#include <elf.h>
#include <fcntl.h>
#include <fmt/format.h>
#include <linux/futex.h>
#include <linux/userfaultfd.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/syscall.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <sstream>
#include <stdexcept>

#include "runtime/host/symbols.h"
#include "runtime/host/syscall_names.h"
#include "tests/support/process.h"

namespace evenkeel::test {
namespace {

std::string read_file(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  if (!file) throw std::runtime_error("cannot read " + path);
  return {std::istreambuf_iterator<char>(file), {}};
}

// The segment that holds the code: in our library its addresses are its offsets.
Elf64_Phdr code_segment(const std::string& image) {
  Elf64_Ehdr header;
  std::memcpy(&header, image.data(), sizeof header);
  for (size_t i = 0; i < header.e_phnum; ++i) {
    Elf64_Phdr segment;
    std::memcpy(&segment, image.data() + header.e_phoff + i * sizeof segment, sizeof segment);
    const bool code = segment.p_type == PT_LOAD && (segment.p_flags & PF_X) != 0;
    if (code && segment.p_offset == segment.p_vaddr) return segment;
  }
  throw std::runtime_error("the library has no code at its own offsets");
}

constexpr std::string_view kSyscall = "\x0f\x05";

}  // namespace

uint64_t operation_of(long number, const uint64_t (&arguments)[6]) {
  switch (number) {
    case SYS_ioctl:
    case SYS_fcntl:
      return arguments[1] & UINT32_MAX;
    case SYS_futex:
      return arguments[1] & FUTEX_CMD_MASK & UINT32_MAX;
    case SYS_prctl:
      return arguments[0];
    default:
      return 0;
  }
}

const std::vector<Granted>& granted() {
  static const std::vector<Granted> kCalls{
      {SYS_clock_gettime},  // of the monotonic clock
      {SYS_close},          // whatever it says, it closes; which a refusal could not
      {SYS_exit},
      {SYS_exit_group},
      {SYS_getegid},
      {SYS_geteuid},
      {SYS_getgid},
      {SYS_getpid},
      {SYS_gettid},
      {SYS_getuid},
      {SYS_rt_sigreturn},
      {SYS_sched_yield},
      {SYS_umask},
      {SYS_fcntl, 1, F_GETFD},     // EBADF is an answer, not a failure
      {SYS_fcntl, 1, F_GETFL},     // likewise
      {SYS_futex, 1, FUTEX_WAKE},  // of a word that is there
      {SYS_write, 0, 2},           // a message: of its failure nobody could be told
  };
  return kCalls;
}

int plausible_error(long number, uint64_t operation) {
  switch (number) {
    case SYS_ioctl:
      return operation == UFFDIO_API ? EINVAL : ENOMEM;
    case SYS_madvise:
    case SYS_mmap:
    case SYS_mprotect:
    case SYS_mremap:
    case SYS_munmap:
    case SYS_sigaltstack:
      return ENOMEM;
    case SYS_fcntl:
    case SYS_open:
    case SYS_openat:
    case SYS_dup3:
      return EMFILE;
    case SYS_futex:
      return EINTR;
    case SYS_clone:
      return EAGAIN;
    case SYS_ftruncate:
      return EFBIG;
    case SYS_pwrite64:
    case SYS_pwritev:
    case SYS_write:
      return ENOSPC;
    case SYS_fstat:
    case SYS_newfstatat:
    case SYS_pread64:
    case SYS_preadv:
    case SYS_read:
    case SYS_statx:
      return EIO;
    default:
      return EPERM;  // as a container's seccomp profile says
  }
}

std::string name_of_call(const CallSite& site) {
  const std::string name = host::syscall_name(static_cast<uint32_t>(site.number));
  return site.operation == 0 ? name : fmt::format("{} {:#x}", name, site.operation);
}

Library::Library(std::string path) : path_(std::move(path)), image_(read_file(path_)) {
  const Elf64_Phdr segment = code_segment(image_);
  code_begin_ = segment.p_offset;
  code_end_ = segment.p_offset + segment.p_filesz;
  for (size_t at = code_begin_; (at = image_.find(kSyscall, at)) < code_end_;) {
    at += kSyscall.size();
    instructions_.push_back(at);
  }
}

bool Library::follows_call(uint64_t offset) const {
  if (offset < code_begin_ + 7 || offset >= code_end_) return false;
  const auto byte = [&](uint64_t back) { return static_cast<uint8_t>(image_[offset - back]); };
  constexpr uint8_t kCallRelative = 0xe8;
  if (byte(5) == kCallRelative) return true;
  constexpr uint8_t kGroup5 = 0xff;  // /2 is an indirect call
  for (const uint64_t length : {2, 3, 6, 7}) {
    if (byte(length) == kGroup5 && (byte(length - 1) >> 3 & 7) == 2) return true;
  }
  return false;
}

uint64_t Library::base_in(pid_t pid) const {
  std::ifstream maps("/proc/" + std::to_string(pid) + "/maps");
  for (std::string line; std::getline(maps, line);) {
    if (line.find(path_) != std::string::npos) return std::stoull(line, nullptr, 16);
  }
  return 0;
}

// Of the functions that do nothing but the call.
bool Library::in_door(uint64_t offset) const {
  const auto symbol = host::find_symbol(path_, offset, true);
  return symbol && symbol->name.starts_with("evenkeel::sys::");
}

std::vector<std::string> Library::places_of(const std::vector<CallSite>& sites) const {
  std::vector<std::string> words{EVENKEEL_ADDR2LINE, "-e", path_};
  for (const CallSite& site : sites) {
    const uint64_t offset = in_door(site.instruction) ? site.caller : site.instruction;
    words.push_back(fmt::format("{:#x}", offset - 1));
  }
  std::istringstream lines(run_to_end(words).out);
  const std::string root = EVENKEEL_SOURCE_DIR "/";
  std::vector<std::string> places;
  for (std::string line; std::getline(lines, line);) {
    line.resize(std::min(line.size(), line.find(' ')));  // "(discriminator 2)"
    const std::string place = std::filesystem::path(line).lexically_normal();
    places.push_back(place.starts_with(root) ? place.substr(root.size()) : place);
  }
  if (places.size() != sites.size()) throw std::runtime_error("addr2line: a line is missing");
  return places;
}

}  // namespace evenkeel::test
