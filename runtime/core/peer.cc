#include "runtime/core/peer.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/uio.h>

#include <cstring>

#include "runtime/core/text.h"

namespace evenkeel {

namespace {

constexpr uint64_t kPage = 4096;

sys::Result read_file(int fd, void* to, uint64_t bytes, uint64_t offset) {
  for (uint64_t done = 0; done < bytes;) {
    const auto got = sys::call(SYS_pread64, fd, sys::arg(static_cast<char*>(to) + done),
                               static_cast<long>(bytes - done), static_cast<long>(offset + done));
    if (!got.ok()) return got;
    if (got.value() == 0) return sys::Result(-EIO);  // shorter than its header says
    done += static_cast<uint64_t>(got.value());
  }
  return sys::Result(0);
}

}  // namespace

Peer::Peer(int pid) : pid_(pid) {
  Text<64> path;
  path.add("/proc/").add(pid).add("/mem");
  const auto opened = sys::open(path.c_str(), O_RDONLY | O_CLOEXEC);
  memory_fd_ = opened.ok() ? static_cast<int>(opened.value()) : -1;
}

Peer::Peer(int pid, int state_fd) : pid_(pid), state_fd_(state_fd) {
  if (!map_segments().ok()) segments_ = nullptr;
}

Peer::~Peer() {
  if (mapped_bytes_ != 0) {
    sys::munmap(const_cast<wire::StateSegment*>(segments_), mapped_bytes_).ignore();
  }
  if (memory_fd_ >= 0) sys::close(memory_fd_).ignore();  // gone whatever it says
}

sys::Result Peer::map_segments() {
  wire::StateHeader header{};
  const auto read = read_file(state_fd_, &header, sizeof header, 0);
  if (!read.ok()) return read;
  const bool known = header.magic == wire::kStateMagic && header.version == wire::kStateVersion &&
                     header.segment_count <= wire::kMaxStateSegments &&
                     header.segments_offset % kPage == 0;
  if (!known) return sys::Result(-EIO);
  const uint64_t bytes = header.segment_count * sizeof(wire::StateSegment);
  const auto mapped = sys::mmap(nullptr, bytes, PROT_READ, MAP_PRIVATE | MAP_POPULATE, state_fd_,
                                header.segments_offset);
  if (!mapped.ok()) return mapped;
  segments_ = reinterpret_cast<const wire::StateSegment*>(mapped.value());
  segment_count_ = header.segment_count;
  mapped_bytes_ = bytes;
  return mapped;
}

sys::Result Peer::read_stored(uint64_t address, char* to, uint64_t bytes) const {
  if (segments_ == nullptr) return sys::Result(-EIO);
  uint64_t low = 0;  // the first segment that ends above `address`
  for (uint64_t high = segment_count_; low < high;) {
    const uint64_t middle = (low + high) / 2;
    const bool below = segments_[middle].address + segments_[middle].bytes <= address;
    (below ? low : high) = below ? middle + 1 : middle;
  }
  const uint64_t end = address + bytes;
  for (; address < end; ++low) {
    const bool last = low == segment_count_ || segments_[low].address >= end;
    const uint64_t next = last ? end : segments_[low].address;
    if (next > address) {  // a gap
      memset(to, 0, next - address);
      to += next - address;
      address = next;
    }
    if (last) break;
    const wire::StateSegment& segment = segments_[low];
    const uint64_t skipped = address - segment.address;
    const uint64_t rest = segment.bytes - skipped;
    const uint64_t piece = rest < end - address ? rest : end - address;
    const auto read = read_file(state_fd_, to, piece, segment.offset + skipped);
    if (!read.ok()) return read;
    to += piece;
    address += piece;
  }
  return sys::Result(0);
}

sys::Result Peer::read(uint64_t address, void* to, uint64_t bytes) const {
  auto* target = static_cast<char*>(to);
  if (stored()) return read_stored(address, target, bytes);
  for (uint64_t done = 0; done < bytes;) {
    const iovec local{target + done, bytes - done};
    const iovec remote{reinterpret_cast<void*>(address + done), bytes - done};
    auto got = sys::call(SYS_process_vm_readv, pid_, sys::arg(&local), 1, sys::arg(&remote), 1, 0);
    // It stops in front of an inaccessible page and then fails. The file, which costs a copy more,
    // reads what is mapped at all; of it only the one page.
    if (got.err() == EFAULT && memory_fd_ >= 0) {
      const uint64_t rest = kPage - (address + done) % kPage;
      const uint64_t piece = rest < bytes - done ? rest : bytes - done;
      got = sys::call(SYS_pread64, memory_fd_, sys::arg(target + done), static_cast<long>(piece),
                      static_cast<long>(address + done));
    }
    if (!got.ok()) return got;
    if (got.value() == 0) return sys::Result(-ESRCH);  // its memory is gone
    done += static_cast<uint64_t>(got.value());
  }
  return sys::Result(0);
}

}  // namespace evenkeel
