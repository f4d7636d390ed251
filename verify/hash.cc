#include "verify/hash.h"

#include <cpuid.h>

#include "runtime/core/layout.h"
#include "verify/verify.h"

namespace evenkeel::verify {
namespace {

constinit HashFunction hash = hash_sse2;

}  // namespace

// By hand: the compiler's __builtin_cpu_supports() wants a constructor of libgcc to have run.
bool machine_has_avx2() {
  constexpr unsigned kOsSavesVectors = 1 << 27;  // leaf 1, ecx: OSXSAVE
  constexpr unsigned kAvx2 = 1 << 5;             // leaf 7, ebx
  constexpr unsigned kXmmAndYmm = 0x6;           // XCR0: the kernel saves both
  unsigned a = 0;
  unsigned b = 0;
  unsigned c = 0;
  unsigned d = 0;
  if (__get_cpuid(1, &a, &b, &c, &d) == 0 || (c & kOsSavesVectors) == 0) return false;
  if (__get_cpuid_count(7, 0, &a, &b, &c, &d) == 0 || (b & kAvx2) == 0) return false;
  unsigned enabled = 0;
  asm volatile("xgetbv" : "=a"(enabled), "=d"(d) : "c"(0));
  return (enabled & kXmmAndYmm) == kXmmAndYmm;
}

void choose_hash() { hash = machine_has_avx2() ? hash_avx2 : hash_sse2; }

bool is_zero_page(const void* page) {
  const auto* words = static_cast<const uint64_t*>(page);
  constexpr size_t kWords = kPageBytes / sizeof(uint64_t);
  constexpr size_t kStep = 8;  // one cache line; most pages are told by the first
  for (size_t i = 0; i < kWords; i += kStep) {
    uint64_t any = 0;
    for (size_t k = 0; k < kStep; ++k) any |= words[i + k];
    if (any != 0) return false;
  }
  return true;
}

wire::Token hash_bytes(const void* data, size_t bytes, uint64_t seed) {
  return hash(data, bytes, seed);
}

wire::Token chain(wire::Token previous, wire::Token root, wire::Token outputs, uint64_t batch) {
  const struct {
    wire::Token previous, root, outputs;
    uint64_t batch;
  } link = {previous, root, outputs, batch};
  static_assert(sizeof(link) == 56);  // no padding: every byte is hashed
  return hash_bytes(&link, sizeof(link), 0);
}

}  // namespace evenkeel::verify
