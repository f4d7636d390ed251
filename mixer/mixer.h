#pragma once
// What a request reads and writes, as far as anybody can tell, and which requests may therefore run
// together. A hint, never an oracle: a wrong footprint costs speed, not correctness.
//
// Used by the coordinator, which groups the inputs of a batch, and inside a replica, which groups
// annotated requests: no heap, no exceptions, nothing but the caller's memory.
// Threads: one at a time. Memory: the caller's. Errors: none; what does not fit runs alone.
#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>

namespace evenkeel::mixer {

enum class Access : uint32_t {
  kRead = 0,   // the whole of what the key names
  kWrite = 1,  // changes it in a way that depends on the order
  // Changes it in a way in which order does not matter: adds to a counter, or writes one part of it
  // under a key of its own (a row, where this key is the table).
  kAdd = 2,
  kReadPart = 3,  // reads one part of it, under a key of its own
};
constexpr uint32_t kAccesses = 4;

// Bit b of kConflicts[a]: accesses a and b to one key must not run together.
constexpr uint32_t access_bit(Access access) { return 1U << static_cast<uint32_t>(access); }
constexpr uint32_t kConflicts[kAccesses] = {
    access_bit(Access::kWrite) | access_bit(Access::kAdd),
    access_bit(Access::kRead) | access_bit(Access::kWrite) | access_bit(Access::kAdd) |
        access_bit(Access::kReadPart),
    access_bit(Access::kRead) | access_bit(Access::kWrite),
    access_bit(Access::kWrite),
};
constexpr bool conflict(Access a, Access b) {
  return (kConflicts[static_cast<uint32_t>(a)] & access_bit(b)) != 0;
}

struct Key {
  uint64_t id;
  Access access;
  uint32_t reserved = 0;
  friend constexpr bool operator==(const Key&, const Key&) = default;
};

// The id of a key in a name space, which is itself an id: a row is key_id(table, row), a table
// key_id(kRootSpace, name). XXH3-64. Two keys of one id (once in 2^64) only seem to conflict.
constexpr uint64_t kRootSpace = 0;
[[nodiscard]] uint64_t key_id(uint64_t space, std::string_view bytes);

struct Request {
  std::span<const Key> keys;  // repetitions and more than one access to a key are allowed
  // Requests of one channel keep their order: a later one never comes into an earlier group.
  // 0: no order.
  uint64_t channel = 0;
  // Conflicts with every request, keys or not: nothing is known of it, or too much.
  bool everything = false;
  // The server is given it in one go with the channel's request before: it may share its group, if
  // they do not conflict. Otherwise it comes into a later one.
  bool together = true;
  uint32_t first_group = 0;  // it comes into none before this
};

// Greedy first-fit: a request goes into the first group in which nothing conflicts with it. The
// order of conflicting requests of different channels is thereby not kept: nobody can tell, they
// are in one batch. Time: linear in the number of keys, whatever the number of groups.
class Groups {
 public:
  // Of one key, or of one channel.
  struct alignas(64) Slot {
    uint64_t id;
    // Group g < kWindow has the access a: bit g of used[a]. 1 + the last group that has it:
    // next[a].
    uint64_t used[kAccesses];
    uint32_t next[kAccesses];
    uint32_t epoch;  // of the clear() since which it is used; others are free
  };
  // First-fit looks at so many groups; a request that fits into none of them goes behind the last
  // one that conflicts.
  static constexpr uint32_t kWindow = 64;

  // At least two slots, a power of two, zeroed; 64 bytes for each. A third stays free: a request
  // whose keys are more than what is left conflicts with everything.
  explicit Groups(std::span<Slot> slots) : slots_(slots.data()), mask_(slots.size() - 1) {}

  void clear();
  // The group of the next request.
  uint32_t add(const Request& request);
  // Groups so far; every number below it is in use, or was skipped by first_group.
  [[nodiscard]] uint32_t count() const { return count_; }

 private:
  Slot& find(uint64_t id);
  [[nodiscard]] size_t room() const { return mask_ - mask_ / 3 - used_; }
  uint32_t place(std::span<const Key> keys, uint32_t floor);
  uint32_t place_alone(uint32_t floor);
  void mark(Slot& slot, Access access, uint32_t group);

  Slot* slots_;
  size_t mask_;
  size_t used_ = 0;
  uint32_t epoch_ = 1;
  uint32_t count_ = 0;
  uint64_t occupied_ = 0;      // groups < kWindow that have a request
  uint64_t closed_ = 0;        // groups < kWindow whose request conflicts with everything
  uint32_t next_closed_ = 0;   // 1 + the last such group
  bool out_of_slots_ = false;  // not even a channel's order can be kept otherwise: all run alone
};

}  // namespace evenkeel::mixer
