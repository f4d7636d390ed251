#include "runtime/host/deck.h"

#include <fcntl.h>
#include <sys/mman.h>

#include <cerrno>
#include <cstddef>
#include <cstring>

#include "runtime/host/refusal.h"

namespace evenkeel::host {
namespace {

namespace ipc = boost::interprocess;

// What Boost.Interprocess asks of something that can be mapped.
class Mappable {
 public:
  explicit Mappable(int fd) : fd_(fd) {}
  [[nodiscard]] ipc::mapping_handle_t get_mapping_handle() const {
    return ipc::ipcdetail::mapping_handle_from_file_handle(fd_);
  }

 private:
  int fd_;
};

// Servers expect the first free numbers to be theirs, as without us.
constexpr int kHighFd = 700;

Fd memory_file(const char* name) {
  Fd fd(::memfd_create(name, MFD_CLOEXEC));
  if (!fd.valid()) {
    throw Refusal(kExitUsage, fmt::format("no memory file: {}", std::strerror(errno)),
                  "see evenkeel doctor");
  }
  const int high = ::fcntl(fd.get(), F_DUPFD_CLOEXEC, kHighFd);
  if (high >= 0) fd.reset(high);  // else the limit of open files is low: any number will do
  return fd;
}

Fd sized_memory_file(const char* name, uint64_t bytes) {
  Fd fd = memory_file(name);
  if (::ftruncate(fd.get(), static_cast<off_t>(bytes)) != 0) {
    throw Refusal(kExitUsage,
                  fmt::format("no memory file of {} bytes: {}", bytes, std::strerror(errno)),
                  "raise the limit of file size (ulimit -f)");
  }
  return fd;
}

ipc::mapped_region map(int fd) {
  try {
    return {Mappable(fd), ipc::read_write, 0, sizeof(wire::Deck)};
  } catch (const ipc::interprocess_exception& e) {
    throw Refusal(kExitUsage, fmt::format("the deck cannot be mapped: {}", e.what()),
                  "raise the limit of address space (ulimit -v)");
  }
}

}  // namespace

Deck::Deck()
    : deck_fd_(sized_memory_file("evenkeel-deck", sizeof(wire::Deck))),
      image_fd_(memory_file("evenkeel-image")),
      region_(map(deck_fd_.get())),
      deck_(static_cast<wire::Deck*>(region_.get_address())) {}

void Deck::trim_outputs(uint32_t replica, uint64_t used_bytes) {
  if (used_bytes <= kKeptOutputBytes) return;
  const uint64_t begin = offsetof(wire::Deck, outputs) + replica * wire::kOutputBytes;
  // Failure only costs memory.
  ::fallocate(deck_fd_.get(), FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE,
              static_cast<off_t>(begin + kKeptOutputBytes),
              static_cast<off_t>(used_bytes - kKeptOutputBytes));
}

void Deck::clear() {
  for (const int fd : {deck_fd_.get(), image_fd_.get()}) {
    const off_t bytes = ::lseek(fd, 0, SEEK_END);
    if (::ftruncate(fd, 0) != 0 || ::ftruncate(fd, fd == deck_fd_.get() ? bytes : 0) != 0) {
      throw Refusal(kExitHung, fmt::format("the deck cannot be cleared: {}", std::strerror(errno)),
                    "report this");
    }
  }
}

}  // namespace evenkeel::host
