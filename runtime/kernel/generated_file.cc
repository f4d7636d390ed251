#include "runtime/kernel/generated_file.h"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <cstring>

#include "runtime/core/sys.h"
#include "runtime/core/text.h"
#include "runtime/kernel/memo.h"

namespace evenkeel::kernel {
namespace {

// The kernel hands out a page of a sequence file at a time, more only of long lines.
constexpr uint32_t kPieceBytes = 4096;

void scatter(const uint8_t* from, uint64_t bytes, const Buffers& out) {
  for (uint32_t i = 0; i < out.count && bytes != 0; ++i) {
    const uint64_t piece = std::min<uint64_t>(bytes, out.vectors[i].iov_len);
    std::memcpy(out.vectors[i].iov_base, from, piece);
    from += piece;
    bytes -= piece;
  }
}

}  // namespace

bool has_prefix(const char* path, const char* prefix) {
  return std::strncmp(path, prefix, std::strlen(prefix)) == 0;
}

bool is_generated_path(const char* path) {
  return has_prefix(path, "/proc/") || has_prefix(path, "/sys/");
}

bool is_generated(const char* path, uint32_t mode, uint32_t open_flags, int real_fd) {
  if (!is_generated_path(path) || !S_ISREG(mode)) return false;
  if ((open_flags & O_ACCMODE) != O_RDONLY || (open_flags & O_PATH) != 0) return false;
  return sys::call(SYS_lseek, real_fd, 0, SEEK_CUR).ok();
}

const char* own_proc_path(const char* path, char (&room)[kOwnPathBytes]) {
  Text<32> own;
  own.add("/proc/").add(deck().boot.reported_pid).add("/");
  if (!has_prefix(path, own.c_str())) return path;
  constexpr char kSelf[] = "/proc/self/";
  const char* rest = path + std::strlen(own.c_str());
  const size_t bytes = std::strlen(rest) + 1;
  if (sizeof kSelf - 1 + bytes > sizeof room) return path;
  std::memcpy(room, kSelf, sizeof kSelf - 1);
  std::memcpy(room + sizeof kSelf - 1, rest, bytes);
  return room;
}

long read_generated(const File& file, const Buffers& out, uint64_t offset) {
  const auto room = static_cast<uint32_t>(std::min<uint64_t>(out.total(), kPieceBytes));
  Arguments arguments;
  arguments.add(static_cast<uint64_t>(file.real_fd)).add(offset).add(room);
  const auto read = [&](uint8_t* payload, uint32_t& bytes) {
    const auto got =
        sys::call(SYS_pread64, file.real_fd, sys::arg(payload), room, static_cast<long>(offset));
    bytes = got.ok() ? static_cast<uint32_t>(got.value()) : 0;
    return got.value();
  };
  const MemoReply reply = memoise(wire::FileOp::kRead, arguments, room, read);
  if (reply.result > 0) scatter(reply.payload, reply.payload_bytes, out);
  return reply.result;
}

}  // namespace evenkeel::kernel
