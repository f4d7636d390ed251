#pragma once
// The memcached text protocol: get (many keys), set, incr, delete, stats, version, quit.
// Expiry times are accepted and ignored: the store has no clock.
// Threads: a Session belongs to one thread at a time. Errors: answered to the client.
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

#include "examples/kvstore/store.h"

namespace kvstore {

constexpr size_t kMaxKeyBytes = 250;
constexpr size_t kMaxLineBytes = 8192;
constexpr size_t kMaxValueBytes = 1 << 20;

// As many as workers, each shared by some connections; read by whoever answers `stats`.
struct Counters {
  Counters() { pthread_mutex_init(&lock, nullptr); }
  ~Counters() { pthread_mutex_destroy(&lock); }
  Counters(const Counters&) = delete;
  Counters& operator=(const Counters&) = delete;

  pthread_mutex_t lock;
  uint64_t get_hits = 0;
  uint64_t get_misses = 0;
  uint64_t sets = 0;
  uint64_t increments = 0;
  uint64_t removals = 0;
};

struct Service {
  Store& store;
  const Options& options;
  std::vector<Counters> counters;
};

class Session {
 public:
  // Executes requests from the front of `input` until it holds no complete one, or `output` has
  // grown to `output_limit`. Returns how much of `input` is done with.
  size_t execute(Service& service, Counters& counters, std::string_view input, std::string& output,
                 size_t output_limit);
  [[nodiscard]] bool quits() const { return quits_; }

 private:
  struct Words;
  size_t execute_one(Service& service, Counters& counters, std::string_view input,
                     std::string& output);
  size_t execute_set(Service& service, Counters& counters, const Words& words,
                     std::string_view input, size_t line_bytes, std::string& output);
  void execute_line(Service& service, Counters& counters, const Words& words, std::string& output);

  size_t skip_bytes_ = 0;  // of a refused value that are still to come
  bool quits_ = false;
};

}  // namespace kvstore
