// Two replicas that share the image of hashed memory: one writes it, both rely on it.
#include <sys/stat.h>
#include <sys/wait.h>

#include <random>

#include "tests/snapshot/fixture.h"

namespace evenkeel::test {
namespace {

using snapshot::Backend;
using snapshot::Kind;

constexpr uint64_t kPages = 200;
constexpr int kBatches = 300;

// Lets two processes take turns.
class Turns {
 public:
  Turns() {
    if (pipe(to_child_) != 0 || pipe(to_parent_) != 0) abort();
  }
  // The parent's part of the step first, then the child's; both return when both are done.
  template <typename Step>
  bool parent_then_child(bool parent, Step step) {
    if (!parent && !wait_on(to_child_[0])) return false;
    step();
    if (!parent) return signal(to_parent_[1]);
    return signal(to_child_[1]) && wait_on(to_parent_[0]);
  }
  // Each process keeps its own ends: a partner that dies is an end of file, not a hang.
  void keep(bool parent) {
    close(parent ? to_child_[0] : to_child_[1]);
    close(parent ? to_parent_[1] : to_parent_[0]);
  }

 private:
  static bool wait_on(int fd) {
    char byte = 0;
    return read(fd, &byte, 1) == 1;
  }
  static bool signal(int fd) { return write(fd, "", 1) == 1; }

  int to_child_[2];
  int to_parent_[2];
};

// One replica; both run the same history from the same seed. Returns what is wrong, or 0.
class Replica {
 public:
  Replica(Backend backend, int image_fd, bool writer)
      : writer_(writer),
        hashed_(pages_at(kBase, kPages)),
        tracked_(pages_at(kStackArena.begin, kPages)),
        session_(backend, true, image_fd),
        committed_(2 * kPages * kPageBytes) {}

  int add_regions() {
    for (uint64_t i = 0; i < kPages; i += 3) hashed_.at(i) = static_cast<uint8_t>(i);
    for (uint64_t i = 0; i < kPages; i += 5) tracked_.at(i) = writer_ ? 1 : 2;  // may differ
    const bool added = snapshot::add_region(hashed_.range(), Kind::kHashed, writer_).ok() &&
                       snapshot::add_region(tracked_.range(), Kind::kTracked, writer_).ok();
    save();
    return added ? 0 : 1;
  }

  void execute() {
    for (uint64_t i = random_() % 60; i != 0; --i) {
      const uint64_t page = random_() % kPages;
      const uint64_t offset = random_() % kPageBytes;
      const auto value = static_cast<uint8_t>(random_() % 3);
      hashed_.at(page, offset) = value;
      if (random_() % 8 == 0) memset(reinterpret_cast<void*>(hashed_.page(page)), 0, kPageBytes);
      // Private state: different addresses, different content.
      tracked_.at((page + (writer_ ? 1 : 0)) % kPages) = static_cast<uint8_t>(value + writer_);
    }
    hashed_.at(7) = static_cast<uint8_t>(hashed_.at(7) + 1);  // becomes hot
  }

  // The answers must follow from the shared image alone.
  int check_collect() {
    for (const auto& page : collect()) {
      if (page.kind == Kind::kHashed && page.unchanged != same_as_committed(page.address)) return 2;
      const auto* image = static_cast<const uint8_t*>(snapshot::image_of(page.address));
      if (memcmp(image, committed(page.address), kPageBytes) != 0) return 3;
    }
    return 0;
  }

  void commit() {
    snapshot::commit(writer_);
    save();
  }
  int rollback() {
    snapshot::rollback();
    for (uint64_t i = 0; i < kPages; ++i) {
      if (!same_as_committed(hashed_.page(i))) return 4;
      if (!same_as_committed(tracked_.page(i))) return 5;
    }
    return 0;
  }
  bool wants_commit() { return random_() % 3 != 0; }

 private:
  uint8_t* committed(uint64_t page) {
    const bool hashed = hashed_.range().contains(page);
    const uint64_t base = hashed ? hashed_.range().begin : tracked_.range().begin;
    return committed_.data() + (hashed ? 0 : kPages * kPageBytes) + (page - base);
  }
  bool same_as_committed(uint64_t page) {
    return memcmp(reinterpret_cast<void*>(page), committed(page), kPageBytes) == 0;
  }
  void save() {
    for (const Memory* memory : {&hashed_, &tracked_}) {
      memcpy(committed(memory->page(0)), reinterpret_cast<void*>(memory->page(0)),
             kPages * kPageBytes);
    }
  }

  const bool writer_;
  const Memory hashed_;
  const Memory tracked_;
  const Session session_;
  std::vector<uint8_t> committed_;
  std::mt19937_64 random_{7};
};

int run_replica(Backend backend, int image_fd, bool parent, Turns& turns) {
  turns.keep(parent);
  Replica replica(backend, image_fd, parent);
  int wrong = 0;
  if (!turns.parent_then_child(parent, [&] { wrong = replica.add_regions(); })) return 10;
  for (int i = 0; i < kBatches && wrong == 0; ++i) {
    replica.execute();
    // Nobody commits before everybody has compared, as the coordinator would see to it.
    if (!turns.parent_then_child(parent, [&] { wrong = replica.check_collect(); })) return 12;
    const bool commit = replica.wants_commit();
    // The writer commits first, the others after it: a rollback reads a complete image.
    const auto decide = [&] {
      if (commit) {
        replica.commit();
      } else if (wrong == 0) {
        wrong = replica.rollback();
      }
    };
    if (!turns.parent_then_child(parent, decide)) return 11;
  }
  return wrong;
}

class Replicas : public SnapshotTest {};
EVENKEEL_BOTH_BACKENDS(Replicas);

TEST_P(Replicas, ShareOneImageWithOneWriter) {
  const int image_fd = make_image_file();
  Turns turns;
  const pid_t child = fork();
  ASSERT_GE(child, 0);
  if (child == 0) _exit(run_replica(GetParam(), image_fd, false, turns));
  EXPECT_EQ(run_replica(GetParam(), image_fd, true, turns), 0);
  int status = 0;
  ASSERT_EQ(waitpid(child, &status, 0), child);
  ASSERT_TRUE(WIFEXITED(status));
  EXPECT_EQ(WEXITSTATUS(status), 0);
  struct stat image = {};
  ASSERT_EQ(fstat(image_fd, &image), 0);
  EXPECT_LE(static_cast<uint64_t>(image.st_blocks) * 512, kPages * kPageBytes);
  close(image_fd);
}

// The writer died before it had copied anything; a follower that has committed its own part takes
// over what was the writer's.
TEST_P(Replicas, SuccessorCompletesALostCommit) {
  const int image_fd = make_image_file();
  const Session session(GetParam(), true, image_fd);
  const Memory hashed(pages_at(kBase, kPages));
  ASSERT_TRUE(snapshot::add_region(hashed.range(), Kind::kHashed, true).ok());
  hashed.at(3) = 33;
  hashed.at(9) = 99;
  snapshot::DirtyPages dirty = {};
  ASSERT_TRUE(snapshot::collect(dirty).ok());
  snapshot::commit(false);
  const auto committed = [&](uint64_t page) {
    return *static_cast<const uint8_t*>(snapshot::image_of(hashed.page(page)));
  };
  EXPECT_EQ(committed(3), 0);
  snapshot::commit_again();
  EXPECT_EQ(committed(3), 33);
  EXPECT_EQ(committed(9), 99);
  hashed.at(3) = 1;
  ASSERT_TRUE(snapshot::collect(dirty).ok());
  snapshot::rollback();
  EXPECT_EQ(hashed.at(3), 33);
  close(image_fd);
}

}  // namespace
}  // namespace evenkeel::test
