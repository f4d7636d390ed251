// Random sequences of memory calls, commits and rollbacks against a map of pages that says what
// each must hold and where each new mapping must go.
#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <map>
#include <set>
#include <string>

#include "tests/kernel/kernel_replica.h"

namespace evenkeel::test {
namespace {

using kernel::call;
using snapshot::Backend;

constexpr uint64_t kFilePages = 8;
constexpr int kRW = PROT_READ | PROT_WRITE;

uint64_t& word(uint64_t address) { return *reinterpret_cast<uint64_t*>(address); }
uint64_t file_tag(uint64_t page) { return 0x1000 + page; }

struct Page {
  bool file;  // a real mapping
  int protection;
  uint64_t tag;  // first and last word of the page
  friend bool operator==(const Page&, const Page&) = default;
};

// What the address space must look like.
struct Model {
  std::map<uint64_t, Page> pages;
  std::set<uint64_t> released;  // file arena: not free before the commit

  [[nodiscard]] bool free(uint64_t page) const {
    return !pages.contains(page) && !released.contains(page);
  }
  [[nodiscard]] uint64_t lowest_gap(const Range& arena, uint64_t count) const {
    uint64_t run = 0;
    for (uint64_t page = arena.begin;; page += kPageBytes) {
      run = free(page) ? run + 1 : 0;
      if (run == count) return page - (count - 1) * kPageBytes;
    }
  }
  // How many pages from `page` are mapped and alike in what `same` compares, at most `limit`.
  template <typename Same>
  [[nodiscard]] uint64_t run(uint64_t page, uint64_t limit, Same same) const {
    const Page first = pages.at(page);
    uint64_t count = 0;
    while (count < limit) {
      const auto found = pages.find(page + count * kPageBytes);
      if (found == pages.end() || !same(first, found->second)) break;
      ++count;
    }
    return count;
  }
};

class Walk {
 public:
  Walk(uint64_t seed, const char* path) : random_(seed), path_(path) {}

  void step() {
    switch (random_.below(10)) {
      case 0:
      case 1:
        return map_anonymous();
      case 2:
        return map_file();
      case 3:
        return unmap();
      case 4:
        return protect();
      case 5:
        return random_.below(2) == 0 ? replace() : zero();
      case 6:
        return remap();
      default:
        return write();
    }
  }
  void committed() {
    model_.released.clear();
    image_ = model_;
  }
  void rolled_back() { model_ = image_; }

  // Content of everything readable, and the kernel's idea of protections.
  void check_content() const {
    for (const auto& [address, page] : model_.pages) {
      if (page.protection == PROT_NONE) continue;
      REQUIRE_EQ(word(address), page.tag);
      REQUIRE_EQ(word(address + kPageBytes - 8), page.tag);
    }
  }
  void check_protections(bool write_too) const {
    std::ifstream maps("/proc/self/maps");
    auto next = model_.pages.begin();
    for (std::string line; std::getline(maps, line);) {
      uint64_t begin = 0;
      uint64_t end = 0;
      char permissions[5] = {};
      REQUIRE_EQ(sscanf(line.c_str(), "%lx-%lx %4s", &begin, &end, permissions), 3);
      const bool from_file = line.find(path_) != std::string::npos;
      while (next != model_.pages.end() && next->first < end) {
        const Page& page = next->second;
        REQUIRE(next->first >= begin);
        REQUIRE_EQ(permissions[0] == 'r', (page.protection & PROT_READ) != 0);
        if (write_too) REQUIRE_EQ(permissions[1] == 'w', (page.protection & PROT_WRITE) != 0);
        REQUIRE_EQ(from_file, page.file);
        ++next;
      }
    }
    REQUIRE(next == model_.pages.end());
  }
  [[nodiscard]] uint64_t addresses() const { return addresses_; }
  [[nodiscard]] uint32_t below(uint32_t limit) { return random_.below(limit); }

 private:
  int any_protection() {
    constexpr int kChoices[] = {PROT_NONE, PROT_READ, kRW, kRW, kRW};
    return kChoices[random_.below(5)];
  }
  uint64_t any_page() {
    auto at = model_.pages.begin();
    std::advance(at, random_.below(static_cast<uint32_t>(model_.pages.size())));
    return at->first;
  }
  // A run of mapped pages somewhere.
  Range any_run(uint64_t limit) {
    const uint64_t page = any_page();
    const auto any = [](const Page&, const Page&) { return true; };
    return {page,
            model_.run(page, 1 + random_.below(static_cast<uint32_t>(limit)), any) * kPageBytes};
  }
  template <typename Change>
  void for_each_page(Range range, Change change) {
    for (uint64_t page = range.begin; page < range.end(); page += kPageBytes) change(page);
  }
  void fill(Range range, const Page& page) {
    for_each_page(range, [&](uint64_t at) { model_.pages[at] = page; });
  }
  void note(uint64_t address) { addresses_ = addresses_ * 31 + address; }

  void map_anonymous() {
    const bool stack = random_.below(3) == 0;
    const uint64_t count = 1 + random_.below(12);
    const int protection = any_protection();
    const int flags = MAP_PRIVATE | MAP_ANONYMOUS | (stack ? MAP_STACK : 0);
    const uint64_t expected = model_.lowest_gap(stack ? kStackArena : kMapArena, count);
    REQUIRE_EQ(call(SYS_mmap, 0, count * kPageBytes, protection, flags, -1, 0), expected);
    fill({expected, count * kPageBytes}, {false, protection, 0});
    note(expected);
  }

  void map_file() {
    const long fd = call(SYS_openat, AT_FDCWD, path_, O_RDONLY, 0);
    REQUIRE(fd >= 0);
    const uint64_t first = random_.below(kFilePages);
    const uint64_t count = 1 + random_.below(static_cast<uint32_t>(kFilePages - first));
    const bool writable = random_.below(2) == 0;
    const uint64_t expected = model_.lowest_gap(writable ? kMapArena : kFileArena, count);
    REQUIRE_EQ(call(SYS_mmap, 0, count * kPageBytes, writable ? kRW : PROT_READ, MAP_PRIVATE, fd,
                    first * kPageBytes),
               expected);
    for (uint64_t i = 0; i < count; ++i) {
      model_.pages[expected + i * kPageBytes] = {!writable, writable ? kRW : PROT_READ,
                                                 file_tag(first + i)};
    }
    REQUIRE_EQ(call(SYS_close, fd), 0);
    note(expected);
  }

  void unmap() {
    if (model_.pages.empty()) return;
    const Range range = any_run(6);
    REQUIRE_EQ(call(SYS_munmap, range.begin, range.bytes), 0);
    for_each_page(range, [&](uint64_t page) {
      model_.pages.erase(page);
      if (kFileArena.contains(page)) model_.released.insert(page);
    });
  }

  void protect() {
    if (model_.pages.empty()) return;
    const Range range = any_run(6);
    const int protection = any_protection();
    if (!model_.pages.contains(range.end())) {  // a hole behind it: nothing may change
      REQUIRE_EQ(call(SYS_mprotect, range.begin, range.bytes + kPageBytes, protection), -ENOMEM);
    }
    REQUIRE_EQ(call(SYS_mprotect, range.begin, range.bytes, protection), 0);
    for_each_page(range, [&](uint64_t at) {
      Page& page = model_.pages[at];
      page.protection = protection;
      if ((protection & PROT_WRITE) != 0) page.file = false;
    });
  }

  void replace() {
    if (model_.pages.empty()) return;
    const Range range = any_run(4);
    const int protection = any_protection();
    REQUIRE_EQ(call(SYS_mmap, range.begin, range.bytes, protection,
                    MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED, -1, 0),
               range.begin);
    fill(range, {false, protection, 0});
  }

  void zero() {
    if (model_.pages.empty()) return;
    const Range range = any_run(4);
    REQUIRE_EQ(call(SYS_madvise, range.begin, range.bytes, MADV_DONTNEED), 0);
    for_each_page(range, [&](uint64_t at) {
      Page& page = model_.pages[at];
      if (!page.file && !kStackArena.contains(at)) page.tag = 0;
    });
  }

  void remap() {
    if (model_.pages.empty()) return;
    const uint64_t page = any_page();
    const auto alike = [](const Page& a, const Page& b) {
      return a.file == b.file && a.protection == b.protection;
    };
    if (model_.pages.at(page).file || kFileArena.contains(page)) return;
    const Range from{page, model_.run(page, 1 + random_.below(5), alike) * kPageBytes};
    const uint64_t bytes = (1 + random_.below(8)) * kPageBytes;
    const Range& arena = kStackArena.contains(page) ? kStackArena : kMapArena;
    const uint64_t expected = place_of_remapped(from, bytes, arena);
    REQUIRE_EQ(call(SYS_mremap, from.begin, from.bytes, bytes, MREMAP_MAYMOVE), expected);
    move_pages(from, {expected, bytes});
    note(expected);
  }
  [[nodiscard]] uint64_t place_of_remapped(Range from, uint64_t bytes, const Range& arena) const {
    bool fits = true;
    for (uint64_t at = from.end(); at < from.begin + bytes; at += kPageBytes) {
      fits &= model_.free(at);
    }
    return fits ? from.begin : model_.lowest_gap(arena, bytes / kPageBytes);
  }
  void move_pages(Range from, Range to) {
    const int protection = model_.pages.at(from.begin).protection;
    std::vector<uint64_t> tags;
    for_each_page(from, [&](uint64_t at) {
      tags.push_back(model_.pages.at(at).tag);
      model_.pages.erase(at);
    });
    tags.resize(to.bytes / kPageBytes, 0);
    for (uint64_t i = 0; i < tags.size(); ++i) {
      model_.pages[to.begin + i * kPageBytes] = {false, protection, tags[i]};
    }
  }

  void write() {
    if (model_.pages.empty()) return;
    const uint64_t at = any_page();
    Page& page = model_.pages[at];
    if (page.protection != kRW) return;
    page.tag = 1 + random_.below(1'000'000);
    word(at) = word(at + kPageBytes - 8) = page.tag;
  }

  Random random_;
  const char* path_;
  Model model_;
  Model image_;
  uint64_t addresses_ = 0;
};

class MemoryModel : public testing::Test {
 protected:
  MemoryModel() {
    const int fd = mkstemp(path_);
    if (fd < 0) abort();
    for (uint64_t i = 0; i < kFilePages; ++i) {
      uint64_t page[kPageBytes / 8] = {};
      page[0] = page[kPageBytes / 8 - 1] = file_tag(i);
      if (::write(fd, page, sizeof page) != sizeof page) abort();
    }
    close(fd);
  }
  ~MemoryModel() override { unlink(path_); }

  // Stores a digest of the addresses that mappings got.
  int walk(uint64_t seed, Backend backend, uint64_t& addresses) {
    return run_kernel([&, seed, backend] {
      Boundaries boundaries(backend);
      Walk walk(seed, path_);
      for (int batch = 0; batch < 60; ++batch) {
        const bool commit = batch == 0 || walk.below(2) == 0;
        boundaries.pass(commit ? Decision::kCommit : Decision::kRollback);
        commit ? walk.committed() : walk.rolled_back();
        walk.check_content();
        walk.check_protections(backend == Backend::kUserfaultfd);
        for (uint32_t i = walk.below(25); i-- > 0;) walk.step();
        walk.check_content();
        walk.check_protections(backend == Backend::kUserfaultfd);
      }
      addresses = walk.addresses();
    });
  }

 private:
  char path_[32] = "/tmp/evenkeel-model-XXXXXX";
};

TEST_F(MemoryModel, HoldsUnderBothTrackersAtTheSameAddresses) {
  auto& first = shared<uint64_t>();
  auto& second = shared<uint64_t>();
  for (uint64_t seed = 1; seed <= 25; ++seed) {
    ASSERT_EQ(walk(seed, Backend::kMprotect, first), kPassed) << "seed " << seed;
    ASSERT_NE(first, 0u);
    if (!snapshot::available(Backend::kUserfaultfd)) continue;
    ASSERT_EQ(walk(seed, Backend::kUserfaultfd, second), kPassed) << "seed " << seed;
    ASSERT_EQ(first, second) << "seed " << seed;
  }
}

}  // namespace
}  // namespace evenkeel::test
