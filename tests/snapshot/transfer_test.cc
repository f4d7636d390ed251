// A replica becomes a copy of another process's: memory, image, protections.
#include "snapshot/transfer.h"

#include <sys/prctl.h>
#include <sys/wait.h>

#include <cerrno>
#include <functional>
#include <memory>

#include "tests/snapshot/fixture.h"

namespace evenkeel::test {
namespace {

using snapshot::Backend;
using snapshot::Kind;

constexpr uint64_t kPages = 64;
const Range kHashed = pages_at(kBase, kPages);
const Range kLater = pages_at(kBase + (uint64_t{1} << 30), 16);
const Range kTracked = pages_at(kStackArena.begin, kPages);

// A process that has built up a state and stands still.
class Source {
 public:
  Source(Backend backend, int image_fd, const std::function<void()>& build) {
    int ends[2];
    if (pipe(ends) != 0) abort();
    pid_ = fork();
    if (pid_ == 0) {
      prctl(PR_SET_PDEATHSIG, SIGKILL);
      const Memory hashed(kHashed);
      const Memory later(kLater);
      const Memory tracked(kTracked);
      const Session session(backend, true, image_fd);
      build();
      collect_and_commit();
      if (write(ends[1], "", 1) != 1) abort();
      for (;;) pause();
    }
    char ready = 0;
    if (read(ends[0], &ready, 1) != 1) abort();
    close(ends[0]);
    close(ends[1]);
  }
  ~Source() { end(); }
  Source(const Source&) = delete;
  Source& operator=(const Source&) = delete;

  void end() {
    if (pid_ <= 0) return;
    kill(pid_, SIGKILL);
    waitpid(pid_, nullptr, 0);
    pid_ = -1;
  }
  [[nodiscard]] pid_t pid() const { return pid_; }

 private:
  pid_t pid_ = -1;
};

uint64_t page_of(Range range, uint64_t index) { return range.begin + index * kPageBytes; }
void fill(Range range, uint64_t index, int value) {
  memset(reinterpret_cast<void*>(page_of(range, index)), value, kPageBytes);
}

void add(Range range, Kind kind) { EXPECT_TRUE(snapshot::add_region(range, kind, true).ok()); }

// Regions whose images lie elsewhere than their order suggests, and pages of every sort.
void build_state() {
  add(kLater, Kind::kHashed);
  EXPECT_TRUE(snapshot::remove_region(kLater).ok());
  add(kHashed, Kind::kHashed);
  add(kTracked, Kind::kTracked);
  fill(kHashed, 1, 'a');
  fill(kHashed, 63, 'b');
  fill(kTracked, 5, 'c');
  fill(kHashed, 20, 'z');
  collect_and_commit();
  add(kLater, Kind::kHashed);
  fill(kHashed, 20, 0);  // given back
  fill(kHashed, 21, 'd');
  fill(kLater, 2, 'e');
  fill(kTracked, 6, 'f');
  EXPECT_TRUE(snapshot::protect({page_of(kHashed, 21), kPageBytes}, PROT_NONE).ok());
  EXPECT_TRUE(snapshot::protect({page_of(kTracked, 6), kPageBytes}, PROT_NONE).ok());
  EXPECT_TRUE(snapshot::protect({page_of(kTracked, 5), kPageBytes}, PROT_READ).ok());
}

bool is_accessible(uint64_t page) {
  int ends[2];
  if (pipe(ends) != 0) abort();
  const bool readable = write(ends[1], reinterpret_cast<void*>(page), 1) == 1;
  close(ends[0]);
  close(ends[1]);
  return readable;
}

void expect_state() {
  for (uint64_t i = 0; i < kPages; ++i) {
    const int hashed = i == 1 ? 'a' : i == 63 ? 'b' : i == 21 ? 'd' : 0;
    const int tracked = i == 5 ? 'c' : i == 6 ? 'f' : 0;
    EXPECT_TRUE(page_is(page_of(kHashed, i), static_cast<uint8_t>(hashed))) << i;
    EXPECT_TRUE(page_is(page_of(kTracked, i), static_cast<uint8_t>(tracked))) << i;
  }
  EXPECT_TRUE(page_is(page_of(kLater, 2), 'e'));
  EXPECT_TRUE(page_is(page_of(kLater, 3), 0));
}

std::vector<uint64_t> hashed_pages() {
  std::vector<uint64_t> found;
  snapshot::for_each_hashed_page(
      [](void* context, uint64_t page) {
        static_cast<std::vector<uint64_t>*>(context)->push_back(page);
      },
      &found);
  return found;
}

// What was written is seen, taken back, or kept, like in any replica.
void expect_working_snapshot() {
  for (const auto& page : collect()) EXPECT_TRUE(page.unchanged || page.kind != Kind::kHashed);
  snapshot::commit(false);
  fill(kHashed, 1, 'x');
  fill(kHashed, 2, 'y');
  fill(kTracked, 9, 'w');
  EXPECT_EQ(collect_addresses(), (std::vector<uint64_t>{page_of(kHashed, 1), page_of(kHashed, 2),
                                                        page_of(kTracked, 9)}));
  snapshot::rollback();
  EXPECT_TRUE(page_is(page_of(kHashed, 1), 'a'));
  EXPECT_TRUE(page_is(page_of(kHashed, 2), 0));
  EXPECT_TRUE(page_is(page_of(kTracked, 9), 0));
  fill(kLater, 2, 'k');
  collect_and_commit();
  fill(kLater, 2, 'l');
  snapshot::rollback();
  EXPECT_TRUE(page_is(page_of(kLater, 2), 'k'));
}

class Transfer : public SnapshotTest {
 protected:
  int image_ = make_image_file();
  Source source_{GetParam(), image_, build_state};
  Memory hashed_{kHashed};
  Memory later_{kLater};
  Memory tracked_{kTracked};
  std::unique_ptr<Session> session_ = std::make_unique<Session>(GetParam(), true, image_);
};

TEST_P(Transfer, AFreshReplicaBecomesACopy) {
  fill(kHashed, 40, 'q');  // what its own start has left
  fill(kTracked, 5, 'q');
  fill(kTracked, 50, 'q');
  const Peer peer(source_.pid());
  ASSERT_EQ(snapshot::take_over(peer).err(), 0);
  expect_state();
  EXPECT_EQ(hashed_pages(), (std::vector<uint64_t>{page_of(kHashed, 1), page_of(kHashed, 21),
                                                   page_of(kHashed, 63), page_of(kLater, 2)}));
  ASSERT_EQ(snapshot::enforce_protections().err(), 0);
  EXPECT_FALSE(is_accessible(page_of(kHashed, 21)));
  EXPECT_FALSE(is_accessible(page_of(kTracked, 6)));
  EXPECT_TRUE(is_accessible(page_of(kTracked, 5)));
  expect_working_snapshot();
}

// After a leak: it has regions, an image and restrictions, all of them now wrong. What it does to
// its regions before it knows better must not harm the source's image.
TEST_P(Transfer, SoDoesOneThatHasAHistoryOfItsOwn) {
  const auto add_own = [](Range range, Kind kind) {
    EXPECT_TRUE(snapshot::add_region(range, kind, false).ok());
  };
  add_own(kTracked, Kind::kTracked);
  add_own(kLater, Kind::kHashed);
  add_own(kHashed, Kind::kHashed);
  fill(kHashed, 30, 'r');
  fill(kTracked, 31, 's');
  EXPECT_TRUE(snapshot::protect({page_of(kHashed, 1), 4 * kPageBytes}, PROT_NONE).ok());
  EXPECT_TRUE(snapshot::protect({page_of(kTracked, 5), kPageBytes}, PROT_NONE).ok());
  collect();
  snapshot::commit(false);
  fill(kHashed, 31, 't');
  const Peer peer(source_.pid());
  ASSERT_EQ(snapshot::take_over(peer).err(), 0);
  expect_state();
  ASSERT_EQ(snapshot::enforce_protections().err(), 0);
  EXPECT_TRUE(is_accessible(page_of(kHashed, 1)));
  expect_working_snapshot();
}

TEST_P(Transfer, ASourceThatIsGoneIsAnError) {
  const Peer peer(source_.pid());
  source_.end();
  EXPECT_EQ(snapshot::take_over(peer).err(), ESRCH);
}

EVENKEEL_BOTH_BACKENDS(Transfer);

class Rewriting : public SnapshotTest {};

// The image as a writer left it that died at an unknown place.
TEST_P(Rewriting, MakesTheImageWhatMemoryIs) {
  const int image = make_image_file();
  const Memory hashed(kHashed);
  const Session session(GetParam(), true, image);
  add(kHashed, Kind::kHashed);
  fill(kHashed, 1, 'a');
  fill(kHashed, 2, 'b');
  EXPECT_TRUE(snapshot::protect({page_of(kHashed, 2), kPageBytes}, PROT_NONE).ok());
  collect_and_commit();
  for (const uint64_t index : {1, 2}) {
    memset(const_cast<void*>(snapshot::image_of(page_of(kHashed, index))), 'X', kPageBytes);
  }
  snapshot::rewrite_image();
  EXPECT_FALSE(is_accessible(page_of(kHashed, 2)));
  EXPECT_EQ(*static_cast<const char*>(snapshot::image_of(page_of(kHashed, 2))), 'b');
  fill(kHashed, 1, 'c');
  snapshot::rollback();
  EXPECT_TRUE(page_is(page_of(kHashed, 1), 'a'));
}

EVENKEEL_BOTH_BACKENDS(Rewriting);

}  // namespace
}  // namespace evenkeel::test
