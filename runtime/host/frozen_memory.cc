#include "runtime/host/frozen_memory.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/ioctl.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <sstream>
#include <string>
#include <system_error>

#include "runtime/wire.h"

namespace evenkeel::host {
namespace {

namespace fs = std::filesystem;

constexpr uint64_t kPageBytes = 4096;

// PAGEMAP_SCAN, newer than the build machine's headers: Documentation/admin-guide/mm/pagemap.rst,
// stable since Linux 6.7.
struct PageRegion {
  uint64_t start, end, categories;
};
struct PagemapScan {
  uint64_t size, flags, start, end, walk_end, vec, vec_len, max_pages;
  uint64_t category_inverted, category_mask, category_anyof_mask, return_mask;
};
static_assert(sizeof(PagemapScan) == 96);
constexpr unsigned long kPagemapScan = _IOWR('f', 16, PagemapScan);
constexpr uint64_t kPresentOrSwapped = 1 << 3 | 1 << 4;

constexpr size_t kScanRegions = 1024;  // that one call returns

[[noreturn]] void fail(int error) { throw std::system_error(error, std::generic_category()); }

Fd open_of(pid_t pid, const char* name) {
  Fd fd(::open(fmt::format("/proc/{}/{}", pid, name).c_str(), O_RDONLY | O_CLOEXEC));
  if (!fd.valid()) fail(errno);
  return fd;
}

struct MapLine {
  Span span;
  bool writable;
  bool shared;
  bool file;
  bool special;  // "[vdso]" and its like
};

MapLine parse(const std::string& line) {
  MapLine map{};
  char rights[5] = {};
  int path = 0;
  if (std::sscanf(line.c_str(), "%lx-%lx %4s %*s %*s %*s %n", &map.span.begin, &map.span.end,
                  rights, &path) < 3) {
    fail(EIO);
  }
  const std::string name = line.substr(static_cast<size_t>(path));
  map.writable = rights[1] == 'w';
  map.shared = rights[3] == 's';
  map.file = name.starts_with('/');
  map.special = name.starts_with("[v");
  return map;
}

void join(std::vector<Span>& spans, Span next) {
  if (!spans.empty() && spans.back().end == next.begin) {
    spans.back().end = next.end;
  } else {
    spans.push_back(next);
  }
}

}  // namespace

FrozenMemory::FrozenMemory(pid_t pid)
    : pid_(pid), memory_(open_of(pid, "mem")), pagemap_(open_of(pid, "pagemap")) {}

std::vector<Span> FrozenMemory::spans() const {
  std::vector<Span> spans;
  std::ifstream maps(fmt::format("/proc/{}/maps", pid_));
  for (std::string line; std::getline(maps, line);) {
    const MapLine map = parse(line);
    const bool of_arena = map.span.begin - wire::kMappedFilesBegin < wire::kMappedFilesBytes;
    if (map.special || map.shared || (map.file && !map.writable && !of_arena)) continue;
    // Of a file, what nobody has touched yet is not there, but is not zero.
    if (map.file) {
      join(spans, map.span);
    } else {
      add_present(map.span, spans);
    }
  }
  if (spans.empty()) fail(ESRCH);
  return spans;
}

void FrozenMemory::add_present(Span mapping, std::vector<Span>& spans) const {
  std::vector<PageRegion> found(kScanRegions);
  PagemapScan scan{};
  scan.size = sizeof scan;
  scan.end = mapping.end;
  scan.vec = reinterpret_cast<uint64_t>(found.data());
  scan.vec_len = found.size();
  scan.category_anyof_mask = kPresentOrSwapped;
  scan.return_mask = kPresentOrSwapped;
  for (uint64_t at = mapping.begin; at < mapping.end; at = scan.walk_end) {
    scan.start = at;
    const int count = ::ioctl(pagemap_.get(), kPagemapScan, &scan);
    if (count < 0) fail(errno == ENOTTY ? EOPNOTSUPP : errno);
    for (int i = 0; i < count; ++i) {
      join(spans, {found[static_cast<size_t>(i)].start, found[static_cast<size_t>(i)].end});
    }
    if (scan.walk_end <= at) break;
  }
}

void FrozenMemory::read(uint64_t address, void* to, uint64_t bytes) const {
  auto* target = static_cast<char*>(to);
  for (uint64_t done = 0; done < bytes;) {
    const ssize_t got =
        ::pread(memory_.get(), target + done, bytes - done, static_cast<off_t>(address + done));
    if (got > 0) {
      done += static_cast<uint64_t>(got);
      continue;
    }
    if (got == 0 || errno != EIO) fail(got == 0 ? ESRCH : errno);
    // Behind the end of a mapped file there is nothing.
    const uint64_t rest = std::min(kPageBytes - (address + done) % kPageBytes, bytes - done);
    std::memset(target + done, 0, rest);
    done += rest;
  }
}

nlohmann::json FrozenMemory::files() const {
  nlohmann::json files = nlohmann::json::array();
  std::error_code error;
  for (const auto& entry : fs::directory_iterator(fmt::format("/proc/{}/fd", pid_), error)) {
    const std::string path = fs::read_symlink(entry.path(), error).string();
    if (!path.starts_with('/') || path.starts_with("/dev/") || path.starts_with("/memfd:")) {
      continue;
    }
    files.push_back({{"fd", std::stoi(entry.path().filename().string())}, {"path", path}});
  }
  return files;
}

}  // namespace evenkeel::host
