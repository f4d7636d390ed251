#pragma once
// A byte ring in the kernel arena that grows up to a limit given per write.
// Threads: kernel lock held. Memory: one arena block, a power of two.
#include <cstdint>

#include "runtime/kernel/object.h"

namespace evenkeel::kernel {

struct ByteQueue {
  uint8_t* data;
  uint32_t capacity;  // 0 or a power of two
  uint32_t begin;     // position of the first byte, below capacity
  uint32_t size;

  // Appends at most `limit - size` bytes; returns how many.
  uint32_t append(const void* bytes, uint32_t count, uint32_t limit);
  // Copies out up to the buffers' total; `consume` removes them. Returns how many.
  uint32_t take(const Buffers& out, bool consume);
  void clear();  // gives the memory back

 private:
  void reserve(uint32_t wanted);
};

// Copies `count` bytes from `from` into the buffers, starting `skip` bytes into them.
void scatter(const Buffers& out, size_t skip, const void* from, size_t count);

}  // namespace evenkeel::kernel
