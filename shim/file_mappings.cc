#include "shim/file_mappings.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>

#include <cerrno>

#include "runtime/core/layout.h"
#include "runtime/kernel/memory.h"
#include "runtime/wire.h"
#include "shim/memory_maps.h"

namespace evenkeel::shim {
namespace {

// -1: not there any more.
int open_mapped(const Mapping& mapping) {
  if (mapping.path[0] != '/') return -1;
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
sys::Result copy(const Peer& peer, Range range, int protection) {
  const auto mapped = kernel::take_over_mapping(range, PROT_READ | PROT_WRITE, -1, 0);
  if (!mapped.ok()) return mapped;
  for (uint64_t at = range.begin; at < range.end(); at += kPageBytes) {
    const auto read = peer.read(at, reinterpret_cast<void*>(at), kPageBytes);
    if (read.err() == ESRCH) return read;
    if (!read.ok()) break;
  }
  return sys::mprotect(reinterpret_cast<void*>(range.begin), range.bytes, protection);
}

struct Visit {
  const Peer& peer;
  sys::Result result;
  const Mapping* mapping;
};

void take_over_part(void* context, Range part, int protection) {
  auto& visit = *static_cast<Visit*>(context);
  if (!visit.result.ok()) return;
  const Mapping& mapping = *visit.mapping;
  const int fd = open_mapped(mapping);
  if (fd < 0) {
    visit.result = copy(visit.peer, part, protection);
    return;
  }
  visit.result = kernel::take_over_mapping(part, protection, fd,
                                           mapping.offset + (part.begin - mapping.begin));
  sys::close(fd).ignore();  // the mapping keeps the file
}

// What the kernel says is mapped there; what it is, our own map knows: the peer may itself have but
// a copy.
void visit_mapping(void* context, const Mapping& mapping) {
  auto& visit = *static_cast<Visit*>(context);
  if (!kFileArena.contains(mapping.begin)) return;
  visit.mapping = &mapping;
  kernel::for_each_file_part({mapping.begin, mapping.end - mapping.begin}, take_over_part, &visit);
}

static_assert(kFileArena.begin == wire::kMappedFilesBegin);
static_assert(kFileArena.bytes == wire::kMappedFilesBytes);

void take_over_stored_part(void* context, Range part, int protection) {
  auto& visit = *static_cast<Visit*>(context);
  if (visit.result.ok()) visit.result = copy(visit.peer, part, protection);
}

}  // namespace

sys::Result take_over_file_mappings(const Peer& peer) {
  const uint64_t used_end = kernel::used_end(kFileArena);
  if (used_end == kFileArena.begin) return sys::Result(0);
  if (peer.stored()) {
    Visit stored{peer, sys::Result(0), nullptr};
    kernel::for_each_file_part({kFileArena.begin, used_end - kFileArena.begin},
                               take_over_stored_part, &stored);
    return stored.result;
  }
  Visit visit{peer, sys::Result(0), nullptr};
  const auto listed = for_each_mapping(peer.pid(), visit_mapping, &visit);
  return listed.ok() ? visit.result : listed;
}

}  // namespace evenkeel::shim
