#include "runtime/host/server_file.h"

#include <elf.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <optional>
#include <sstream>
#include <vector>

#include "runtime/host/fd.h"
#include "runtime/host/refusal.h"

namespace evenkeel::host {
namespace {

namespace fs = std::filesystem;

constexpr uint16_t kMaxProgramHeaders = 1024;  // more: not a program we would know

bool is_program(const std::string& path) {
  struct stat info {};
  return ::stat(path.c_str(), &info) == 0 && S_ISREG(info.st_mode) &&
         ::access(path.c_str(), X_OK) == 0;
}

std::vector<std::string> candidates(const std::string& word) {
  if (word.find('/') != std::string::npos) return {word};
  const char* path = std::getenv("PATH");
  std::istringstream entries(path == nullptr ? "/usr/bin:/bin" : path);
  std::vector<std::string> found;
  for (std::string entry; std::getline(entries, entry, ':');) {
    found.push_back(entry.empty() ? fmt::format("./{}", word) : fmt::format("{}/{}", entry, word));
  }
  return found;
}

std::optional<Elf64_Ehdr> read_header(int fd) {
  Elf64_Ehdr header{};
  const ssize_t bytes = ::pread(fd, &header, sizeof header, 0);
  if (bytes < EI_NIDENT || std::memcmp(header.e_ident, ELFMAG, SELFMAG) != 0) return std::nullopt;
  return header;
}

bool has_interpreter(int fd, const Elf64_Ehdr& header) {
  const size_t count = std::min(header.e_phnum, kMaxProgramHeaders);
  std::vector<Elf64_Phdr> table(count);
  const size_t bytes = count * sizeof(Elf64_Phdr);
  if (::pread(fd, table.data(), bytes, static_cast<off_t>(header.e_phoff)) !=
      static_cast<ssize_t>(bytes)) {
    return false;
  }
  for (const Elf64_Phdr& segment : table) {
    if (segment.p_type == PT_INTERP) return true;
  }
  return false;
}

bool is_script(int fd) {
  char start[2] = {};
  return ::pread(fd, start, 2, 0) == 2 && start[0] == '#' && start[1] == '!';
}

void refuse_set_id(const std::string& path, int fd) {
  struct stat info {};
  if (::fstat(fd, &info) != 0 || (info.st_mode & (S_ISUID | S_ISGID)) == 0) return;
  throw Refusal(kExitUsage,
                fmt::format("{} is setuid or setgid: the loader ignores preloading for it", path),
                "copy it without the bits, or start it as the user it would change to");
}

fs::path own_directory() {
  std::error_code error;
  return fs::read_symlink("/proc/self/exe", error).parent_path();
}

}  // namespace

std::string find_server(const std::string& word) {
  std::string not_executable;
  for (const std::string& path : candidates(word)) {
    if (is_program(path)) return path;
    if (::access(path.c_str(), F_OK) == 0 && not_executable.empty()) not_executable = path;
  }
  if (!not_executable.empty()) {
    throw Refusal(kExitNotExecutable, fmt::format("{} is not an executable file", not_executable),
                  "check the path and its permissions");
  }
  throw Refusal(kExitNotFound, fmt::format("{}: not found", word), "check the name and PATH");
}

void check_server(const std::string& path) {
  const Fd fd(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
  if (!fd.valid()) {
    throw Refusal(kExitNotExecutable, fmt::format("{}: {}", path, std::strerror(errno)),
                  "a server must be readable to be checked");
  }
  refuse_set_id(path, fd.get());
  if (is_script(fd.get())) return;
  const std::optional<Elf64_Ehdr> header = read_header(fd.get());
  if (!header) {
    throw Refusal(kExitNotExecutable, fmt::format("{} is not an ELF program or a #! script", path),
                  "start it through its interpreter");
  }
  if (header->e_ident[EI_CLASS] != ELFCLASS64 || header->e_machine != EM_X86_64) {
    throw Refusal(kExitUsage, fmt::format("{} is not a 64-bit x86 program", path),
                  "evenkeel runs x86-64 servers only");
  }
  if (!has_interpreter(fd.get(), *header)) {
    throw Refusal(kExitUsage,
                  fmt::format("{} is statically linked: nothing can be preloaded", path),
                  "use a dynamically linked build of the server");
  }
}

std::string find_library() {
  const char* given = std::getenv("EVENKEEL_LIBRARY");
  std::vector<fs::path> places;
  if (given != nullptr && *given != '\0') {
    places.emplace_back(given);
  } else {
    places.push_back(own_directory() / "../lib/libevenkeel.so");
    places.push_back(own_directory() / "../lib/evenkeel/libevenkeel.so");
    places.push_back(own_directory() / "../lib/x86_64-linux-gnu/evenkeel/libevenkeel.so");
  }
  for (const fs::path& place : places) {
    std::error_code error;
    const fs::path real = fs::canonical(place, error);
    if (!error && ::access(real.c_str(), R_OK) == 0) return real.string();
  }
  throw Refusal(kExitUsage, fmt::format("{} is missing", places.front().string()),
                "build it (target evenkeel_preload), or name it in EVENKEEL_LIBRARY");
}

}  // namespace evenkeel::host
