#include "runtime/kernel/random.h"

#include <sys/random.h>

#include <cerrno>
#include <cstdint>
#include <cstring>

#include "runtime/core/arena.h"
#include "runtime/kernel/chacha.h"
#include "runtime/kernel/dispatch.h"
#include "runtime/sched/carrier.h"
#include "runtime/sched/clock.h"
#include "runtime/sched/lock.h"

namespace evenkeel::kernel {
namespace {

// Stirring uses a thread number that no thread has.
constexpr uint32_t kStirring = UINT32_MAX;

struct Random {
  ChachaKey pool;
  uint64_t stirred;  // number of the batch whose seed was stirred in last, plus one
  uint64_t blocks[wire::kMaxThreads];  // drawn by each thread
};
constinit Random* g_random = nullptr;

void stir() {
  const sched::BatchTime& time = sched::batch_time();
  if (g_random->stirred == time.batch + 1) return;
  g_random->stirred = time.batch + 1;
  g_random->pool.words[0] ^= static_cast<uint32_t>(time.seed);
  g_random->pool.words[1] ^= static_cast<uint32_t>(time.seed >> 32);
  const ChachaNonce nonce{
      {kStirring, static_cast<uint32_t>(time.batch), static_cast<uint32_t>(time.batch >> 32)}};
  uint8_t block[kChachaBlockBytes];
  chacha20_block(g_random->pool, 0, nonce, block);
  std::memcpy(g_random->pool.words, block, sizeof g_random->pool.words);
}

// Lock held.
void draw(uint8_t* out, size_t bytes) {
  stir();
  const uint32_t thread = sched::started() ? sched::index_of(sched::self().id) : 0;
  uint8_t block[kChachaBlockBytes];
  while (bytes != 0) {
    const uint64_t number = g_random->blocks[thread]++;
    const ChachaNonce nonce{{thread, static_cast<uint32_t>(number >> 32), 0}};
    chacha20_block(g_random->pool, static_cast<uint32_t>(number), nonce, block);
    const size_t piece = bytes < sizeof block ? bytes : sizeof block;
    std::memcpy(out, block, piece);
    out += piece;
    bytes -= piece;
  }
}

}  // namespace

void init_random() { g_random = arena::create<Random>(); }

void random_bytes(void* out, size_t bytes) {
  auto* target = static_cast<uint8_t*>(out);
  if (!sched::started() || sched::lock_held_by_this_carrier()) return draw(target, bytes);
  sched::Guard guard;
  draw(target, bytes);
}

long sys_getrandom(const Call& call) {
  constexpr uint32_t kKnown = GRND_NONBLOCK | GRND_RANDOM | GRND_INSECURE;
  constexpr size_t kMost = 32 << 20;  // as Linux: a longer request is answered in part
  if ((call.word(2) & ~kKnown) != 0) return -EINVAL;
  const size_t bytes = call.args[1] < kMost ? call.args[1] : kMost;
  random_bytes(call.pointer<void>(0), bytes);
  return static_cast<long>(bytes);
}

}  // namespace evenkeel::kernel
