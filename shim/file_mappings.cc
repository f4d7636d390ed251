#include "shim/file_mappings.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>

#include <cerrno>

#include "runtime/core/layout.h"
#include "runtime/kernel/memory.h"
#include "shim/memory_maps.h"

namespace evenkeel::shim {
namespace {

int protection_of(const Mapping& mapping) {
  return (mapping.readable ? PROT_READ : 0) | (mapping.writable ? PROT_WRITE : 0) |
         (mapping.executable ? PROT_EXEC : 0);
}

// -1: not there any more.
int open_mapped(const Mapping& mapping) {
  const auto opened = sys::open(mapping.path, O_RDONLY | O_CLOEXEC);
  if (!opened.ok()) return -1;
  const int fd = static_cast<int>(opened.value());
  struct stat info;
  const auto stated = sys::call(SYS_fstat, fd, sys::arg(&info));
  if (stated.ok() && info.st_dev == mapping.device && info.st_ino == mapping.inode) return fd;
  sys::close(fd).ignore();  // gone whatever it says
  return -1;
}

// Page by page, because behind the end of the file there is nothing to read.
sys::Result copy(const Peer& peer, const Mapping& mapping, Range range) {
  const auto mapped = kernel::take_over_mapping(range, PROT_READ | PROT_WRITE, -1, 0);
  if (!mapped.ok()) return mapped;
  for (uint64_t at = range.begin; at < range.end(); at += kPageBytes) {
    const auto read = peer.read(at, reinterpret_cast<void*>(at), kPageBytes);
    if (read.err() == ESRCH) return read;
    if (!read.ok()) break;
  }
  return sys::mprotect(reinterpret_cast<void*>(range.begin), range.bytes, protection_of(mapping));
}

sys::Result take_over_mapping(const Peer& peer, const Mapping& mapping) {
  const Range range{mapping.begin, mapping.end - mapping.begin};
  const int fd = open_mapped(mapping);
  if (fd < 0) return copy(peer, mapping, range);
  const auto mapped = kernel::take_over_mapping(range, protection_of(mapping), fd, mapping.offset);
  sys::close(fd).ignore();  // the mapping keeps the file
  return mapped;
}

struct Visit {
  const Peer& peer;
  sys::Result result;
};

void visit_mapping(void* context, const Mapping& mapping) {
  auto& visit = *static_cast<Visit*>(context);
  if (!visit.result.ok() || !kFileArena.contains(mapping.begin) || mapping.path[0] != '/') return;
  visit.result = take_over_mapping(visit.peer, mapping);
}

}  // namespace

sys::Result take_over_file_mappings(const Peer& peer) {
  if (kernel::used_end(kFileArena) == kFileArena.begin) return sys::Result(0);
  Visit visit{peer, sys::Result(0)};
  const auto listed = for_each_mapping(peer.pid(), visit_mapping, &visit);
  return listed.ok() ? visit.result : listed;
}

}  // namespace evenkeel::shim
