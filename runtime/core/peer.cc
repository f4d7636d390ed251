#include "runtime/core/peer.h"

#include <fcntl.h>
#include <sys/uio.h>

#include "runtime/core/text.h"

namespace evenkeel {

Peer::Peer(int pid) : pid_(pid) {
  Text<64> path;
  path.add("/proc/").add(pid).add("/mem");
  const auto opened = sys::open(path.c_str(), O_RDONLY | O_CLOEXEC);
  memory_fd_ = opened.ok() ? static_cast<int>(opened.value()) : -1;
}

Peer::~Peer() {
  if (memory_fd_ >= 0) sys::close(memory_fd_).ignore();  // gone whatever it says
}

sys::Result Peer::read(uint64_t address, void* to, uint64_t bytes) const {
  auto* target = static_cast<char*>(to);
  for (uint64_t done = 0; done < bytes;) {
    const iovec local{target + done, bytes - done};
    const iovec remote{reinterpret_cast<void*>(address + done), bytes - done};
    auto got = sys::call(SYS_process_vm_readv, pid_, sys::arg(&local), 1, sys::arg(&remote), 1, 0);
    // It stops in front of an inaccessible page and then fails. The file, which costs a copy more,
    // reads what is mapped at all; of it only the one page.
    if (got.err() == EFAULT && memory_fd_ >= 0) {
      constexpr uint64_t kPage = 4096;
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
