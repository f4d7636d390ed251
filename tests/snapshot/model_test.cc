// Random work against a plain copy of memory, byte for byte, on both backends.
//
// Repeat a failure: EVENKEEL_TEST_SEED=<seed printed> snapshot_model_test
#include <fcntl.h>

#include <cstdlib>
#include <map>
#include <memory>
#include <random>
#include <set>

#include "tests/snapshot/fixture.h"

namespace evenkeel::test {
namespace {

using snapshot::Kind;
using Content = std::vector<uint8_t>;

uint64_t seed_of_run() {
  const char* given = getenv("EVENKEEL_TEST_SEED");
  return given != nullptr ? strtoull(given, nullptr, 10) : std::random_device()();
}

// Content of every page that was ever touched; the others are zero.
class Model {
 public:
  Content& page(uint64_t address) {
    return pages_.try_emplace(address, Content(kPageBytes)).first->second;
  }
  [[nodiscard]] bool same(uint64_t address, const Model& other) const {
    static const Content kZero(kPageBytes);
    const auto mine = pages_.find(address);
    const auto theirs = other.pages_.find(address);
    return (mine == pages_.end() ? kZero : mine->second) ==
           (theirs == other.pages_.end() ? kZero : theirs->second);
  }
  [[nodiscard]] const std::map<uint64_t, Content>& pages() const { return pages_; }

 private:
  std::map<uint64_t, Content> pages_;
};

struct Zone {
  Range range;
  Kind kind;
};

class World {
 public:
  World(snapshot::Backend backend, uint64_t seed) : session_(backend), random_(seed) {
    for (const Zone& zone : zones()) {
      memory_.push_back(std::make_unique<Memory>(zone.range));
      // Something is there from the start.
      for (int i = 0; i < 5; ++i) write_bytes(pick_page(zone));
      committed_ = now_;
    }
    for (const Zone& zone : zones()) EXPECT_TRUE(snapshot::add_region(zone.range, zone.kind).ok());
    if (below(2) == 0) tell_used();
  }

  void batch() {
    const int operations = static_cast<int>(below(80));
    for (const uint64_t page : favourites_) write_bytes(page);
    for (int i = 0; i < operations; ++i) operation();
    if (below(20) == 0) choose_favourites();
    if (below(4) == 0) collect();  // reported again, with the rest
    if (below(8) != 0) check_dirty(collect());
    if (below(3) == 0) {
      snapshot::rollback();
      now_ = committed_;
      restricted_ = committed_restricted_;
    } else {
      check_dirty(collect());
      snapshot::commit(true);
      committed_ = now_;
      committed_restricted_ = restricted_;
    }
    check_memory();
    check_images();
  }

 private:
  static std::vector<Zone> zones() {
    std::vector<Zone> found = {
        {{kBase, 64 * kGiB}, Kind::kHashed},  // a heap: sparse
        {{kStackArena.begin, 4 * kGiB}, Kind::kStack},
        {{kKernelArena.begin, kGiB}, Kind::kTracked},
    };
    for (uint64_t i = 0; i < 12; ++i) {  // globals of libraries
      found.push_back({pages_at(0x7f00'0000'0000 + i * 0x80'0000, 1 + i % 5),
                       i % 3 == 0 ? Kind::kTracked : Kind::kHashed});
    }
    return found;
  }

  uint64_t below(uint64_t limit) {
    return std::uniform_int_distribution<uint64_t>(0, limit - 1)(random_);
  }

  // Clustered, so that runs, neighbours and repeats are common.
  uint64_t pick_page(const Zone& zone) {
    const uint64_t pages = zone.range.bytes / kPageBytes;
    const uint64_t cluster = pages > 1000 ? below(4) * (pages / 4) : 0;
    return zone.range.begin + (cluster + below(std::min<uint64_t>(pages, 60))) * kPageBytes;
  }
  // The clusters of the large zones.
  void tell_used() {
    for (size_t i = 0; i < 3; ++i) {
      const Range whole = zones()[i].range;
      Range used[4];
      for (uint64_t k = 0; k < 4; ++k) {
        used[k] = {whole.begin + k * (whole.bytes / 4), 60 * kPageBytes};
      }
      snapshot::set_used_ranges(whole, used, 4);
    }
  }
  uint64_t pick_page() {
    const auto all = zones();
    return pick_page(all[below(3) == 0 ? below(all.size()) : below(3)]);
  }

  [[nodiscard]] bool writable(uint64_t page) const { return !restricted_.contains(page); }

  void write_bytes(uint64_t page) {
    if (!writable(page)) return;
    const uint64_t bytes = below(4) == 0 ? kPageBytes : 1 + below(16);
    const uint64_t offset = below(kPageBytes - bytes + 1);
    // Zeros often: pages that become zero, or stay so, are a case of their own.
    const auto value = static_cast<uint8_t>(below(3) == 0 ? 0 : below(256));
    memset(reinterpret_cast<void*>(page + offset), value, bytes);
    memset(now_.page(page).data() + offset, value, bytes);
  }

  void write_same(uint64_t page) {
    if (!writable(page)) return;
    auto* byte = reinterpret_cast<volatile uint8_t*>(page + below(kPageBytes));
    *byte = *byte;
  }

  void write_by_kernel(uint64_t page) {
    if (!writable(page)) return;
    Content noise(1 + below(kPageBytes));
    for (auto& byte : noise) byte = static_cast<uint8_t>(below(256));
    int ends[2];
    ASSERT_EQ(pipe(ends), 0);
    ASSERT_EQ(write(ends[1], noise.data(), noise.size()), static_cast<ssize_t>(noise.size()));
    snapshot::prepare_kernel_write(reinterpret_cast<void*>(page), noise.size());
    ASSERT_EQ(read(ends[0], reinterpret_cast<void*>(page), noise.size()),
              static_cast<ssize_t>(noise.size()));
    close(ends[0]);
    close(ends[1]);
    std::copy(noise.begin(), noise.end(), now_.page(page).begin());
  }

  void read_untouched(uint64_t page) const {
    if (!restricted_.contains(page)) (void)*reinterpret_cast<volatile uint8_t*>(page);
  }

  void discard(uint64_t page) {
    ASSERT_EQ(snapshot::discard(pages_at(page, 1)).err(), 0);
    now_.page(page).assign(kPageBytes, 0);
  }

  void restrict(uint64_t page) {
    if (restricted_.size() > 100) return;
    const int protection = below(2) == 0 ? PROT_NONE : PROT_READ;
    ASSERT_EQ(snapshot::protect(pages_at(page, 1), protection).err(), 0);
    restricted_[page] = protection;
  }

  void unrestrict() {
    if (restricted_.empty()) return;
    auto it = std::next(restricted_.begin(), static_cast<long>(below(restricted_.size())));
    ASSERT_EQ(snapshot::protect(pages_at(it->first, 1), PROT_READ | PROT_WRITE).err(), 0);
    restricted_.erase(it);
  }

  void operation() {
    const uint64_t page = pick_page();
    switch (below(20)) {
      case 0:
        return write_same(page);
      case 1:
        return write_by_kernel(page);
      case 2:
        return read_untouched(page);
      case 3:
        return discard(page);
      case 4:
        return restrict(page);
      case 5:
        return unrestrict();
      default:
        return write_bytes(page);
    }
  }

  void choose_favourites() {
    favourites_.clear();
    for (uint64_t i = below(12); i != 0; --i) favourites_.insert(pick_page());
  }

  void check_dirty(const std::vector<snapshot::DirtyPage>& dirty) {
    std::set<uint64_t> reported;
    for (const auto& page : dirty) {
      ASSERT_TRUE(reported.empty() || *reported.rbegin() < page.address);
      reported.insert(page.address);
      const bool same = now_.same(page.address, committed_);
      ASSERT_TRUE(same || !page.unchanged) << std::hex << page.address;
      ASSERT_TRUE(page.unchanged || !same || page.kind != Kind::kHashed)
          << std::hex << page.address;
    }
    for (const auto& [address, content] : now_.pages()) {
      ASSERT_TRUE(now_.same(address, committed_) || reported.contains(address))
          << std::hex << address;
    }
  }

  void check_memory() const {
    for (const auto& [address, content] : now_.pages()) {
      const auto it = restricted_.find(address);
      if (it != restricted_.end() && it->second == PROT_NONE) continue;
      ASSERT_EQ(memcmp(reinterpret_cast<void*>(address), content.data(), kPageBytes), 0)
          << std::hex << address;
    }
  }

  void check_images() const {
    for (const auto& [address, content] : committed_.pages()) {
      ASSERT_EQ(memcmp(snapshot::image_of(address), content.data(), kPageBytes), 0)
          << std::hex << address;
    }
  }

  const Session session_;
  std::mt19937_64 random_;
  std::vector<std::unique_ptr<Memory>> memory_;
  Model now_;
  Model committed_;
  std::map<uint64_t, int> restricted_;
  std::map<uint64_t, int> committed_restricted_;
  std::set<uint64_t> favourites_;
};

class SnapshotModel : public SnapshotTest {};
EVENKEEL_BOTH_BACKENDS(SnapshotModel);

TEST_P(SnapshotModel, BehavesAsACopyOfMemory) {
  const uint64_t seed = seed_of_run();
  SCOPED_TRACE("EVENKEEL_TEST_SEED=" + std::to_string(seed));
  World world(GetParam(), seed);
  for (int i = 0; i < 600 && !HasFatalFailure(); ++i) world.batch();
  EXPECT_GT(snapshot::stats().hot_pages, 0U) << "the favourites never became hot";
}

}  // namespace
}  // namespace evenkeel::test
