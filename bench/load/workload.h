#pragma once
// What the connections ask, and which answers are right.
// Threads: one. Memory: the keys and a few words per key. Errors: wrong answers are counted.
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "bench/load/options.h"
#include "bench/load/reply.h"

namespace evenkeel::load {

enum class Op : uint8_t { kGet, kSet, kDelete, kIncrement, kAppend, kAdd, kFlush };

// A request on its way. What `key` and `expected` mean is the workload's affair.
struct Pending {
  Op op;
  uint8_t key_count = 1;
  uint32_t key;
  uint64_t expected;
  uint64_t sent_ns;
};

class Random {  // splitmix64
 public:
  explicit Random(uint64_t seed) : state_(seed) {}
  uint64_t next() {
    uint64_t z = (state_ += 0x9e3779b97f4a7c15);
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9;
    z = (z ^ (z >> 27)) * 0x94d049bb133111eb;
    return z ^ (z >> 31);
  }
  uint32_t below(uint32_t bound) { return static_cast<uint32_t>((next() >> 32) * bound >> 32); }
  double fraction() { return static_cast<double>(next() >> 11) * 0x1p-53; }

 private:
  uint64_t state_;
};

enum class Phase { kPreload, kMain, kSweep };

class Workload {
 public:
  explicit Workload(const Options& options);
  virtual ~Workload() = default;

  // How many requests this connection sends in the phase.
  virtual uint64_t count(Phase phase, uint32_t connection) const = 0;
  // Appends request `index` of the phase to `out`.
  virtual Pending issue(Phase phase, uint32_t connection, uint64_t index, std::string& out) = 0;
  virtual void check(uint32_t connection, const Pending& pending, const Reply& reply) = 0;
  // Called when all replies are in.
  virtual void finish() {}

  [[nodiscard]] uint64_t wrong() const { return wrong_; }
  [[nodiscard]] uint64_t errors() const { return errors_; }

 protected:
  uint64_t share_of_requests(uint32_t connection) const;
  // Counts a wrong answer and prints the first few.
  void report_wrong(std::string_view what, std::string_view key, std::string_view wanted,
                    std::string_view got);
  // The server said that it cannot: not a wrong answer, but never expected either.
  bool is_server_error(const Reply& reply);
  void expect_line(const Reply& reply, std::string_view key, std::string_view wanted);
  void expect_line(const Reply& reply, std::string_view key, std::string_view wanted,
                   std::string_view or_this);

  const Options& options_;
  std::vector<Random> random_;  // by connection

 private:
  uint64_t wrong_ = 0;
  uint64_t errors_ = 0;
};

std::unique_ptr<Workload> make_exclusive(const Options& options);
std::unique_ptr<Workload> make_shared_keys(const Options& options);
std::unique_ptr<Workload> make_contended(const Options& options);

void append_number(std::string& out, uint64_t number);
// <command> <key> <flags> 0 <bytes>
void append_store_line(std::string& out, std::string_view command, std::string_view key,
                       uint32_t flags, size_t bytes);
bool parse_number(std::string_view text, uint64_t& number);

}  // namespace evenkeel::load
