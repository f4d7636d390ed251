#pragma once
// The deck as the coordinator holds it: a memfd, because /dev/shm may be tiny in a container,
// mapped with Boost.Interprocess. Also the memfd of the committed image that the replicas share.
#include <boost/interprocess/mapped_region.hpp>
#include <memory>

#include "runtime/host/fd.h"
#include "runtime/wire.h"

namespace evenkeel::host {

class Deck {
 public:
  Deck();  // throws Refusal when memory files or address space are not to be had

  [[nodiscard]] wire::Deck& operator*() const { return *deck_; }
  [[nodiscard]] wire::Deck* operator->() const { return deck_; }
  [[nodiscard]] int deck_fd() const { return deck_fd_.get(); }
  [[nodiscard]] int image_fd() const { return image_fd_.get(); }

  // Gives a replica's released output pages beyond kKeptOutputBytes back to the kernel.
  void trim_outputs(uint32_t replica, uint64_t used_bytes);

  // Everything zero again, for replicas that start anew.
  void clear();

 private:
  // 16 MiB: reused by ordinary batches; a rare giant one should not stay resident.
  static constexpr uint64_t kKeptOutputBytes = 16 << 20;

  Fd deck_fd_;
  Fd image_fd_;
  boost::interprocess::mapped_region region_;
  wire::Deck* deck_ = nullptr;
};

}  // namespace evenkeel::host
