// Copies between descriptors inside the kernel. sendfile() reads and writes; the others are refused
// with the answer on which programs fall back to reading and writing themselves.
#include <algorithm>
#include <cerrno>

#include "runtime/core/arena.h"
#include "runtime/kernel/dispatch.h"
#include "runtime/kernel/fd_table.h"
#include "runtime/kernel/file.h"
#include "runtime/sched/lock.h"

namespace evenkeel::kernel {
namespace {

// In tracked memory, because write() may suspend the thread half-way through it.
constexpr uint32_t kBounceBytes = 32 << 10;

class Bounce {
 public:
  Bounce() {
    sched::Guard guard;
    data_ = arena::allocate(kBounceBytes);
  }
  ~Bounce() {
    sched::Guard guard;
    arena::release(data_, kBounceBytes);
  }
  Bounce(const Bounce&) = delete;
  Bounce& operator=(const Bounce&) = delete;
  [[nodiscard]] void* data() const { return data_; }

 private:
  void* data_;
};

// One bounce. Returns how much was written; 0 at the end of the file; `stop` if it was not all.
long move_piece(int out, int in, uint64_t offset, uint64_t bytes, const Bounce& bounce,
                bool& stop) {
  const long got = call(SYS_pread64, in, bounce.data(), bytes, offset);
  if (got <= 0) return got;
  const long put = call(SYS_write, out, bounce.data(), got);
  stop = put != got;
  return put;
}

}  // namespace

long sys_sendfile(const Call& request) {
  constexpr uint64_t kMost = 0x7fff'f000;  // as Linux
  const int out = request.integer(0);
  const int in = request.integer(1);
  if (object_of(out) == nullptr || object_of(in) == nullptr) return -EBADF;
  File* file = file_of(in);
  if (file == nullptr) return -EINVAL;
  auto* given = request.pointer<int64_t>(2);
  uint64_t offset = given != nullptr ? static_cast<uint64_t>(*given) : file->offset;
  const uint64_t wanted = std::min(request.args[3], kMost);
  const Bounce bounce;
  uint64_t done = 0;
  long result = 0;
  for (bool stop = false; done < wanted && !stop;) {
    const uint64_t piece = std::min<uint64_t>(wanted - done, kBounceBytes);
    result = move_piece(out, in, offset, piece, bounce, stop);
    if (result <= 0) break;
    done += static_cast<uint64_t>(result);
    offset += static_cast<uint64_t>(result);
  }
  if (given != nullptr) {
    *given = static_cast<int64_t>(offset);
  } else {
    call(SYS_lseek, in, offset, SEEK_SET);
  }
  return done != 0 || result == 0 ? static_cast<long>(done) : result;
}

long sys_splice(const Call&) { return -EINVAL; }
long sys_tee(const Call&) { return -EINVAL; }
long sys_vmsplice(const Call&) { return -EINVAL; }
long sys_copy_file_range(const Call&) { return -EINVAL; }

}  // namespace evenkeel::kernel
