#include "runtime/kernel/vdso.h"

#include <dlfcn.h>
#include <gtest/gtest.h>
#include <sys/mman.h>
#include <sys/time.h>
#include <time.h>

#include <cerrno>
#include <cstdio>
#include <cstring>
#include <fstream>
#include <string>

#include "runtime/sched/clock.h"
#include "tests/kernel/kernel_replica.h"

namespace evenkeel::test {
namespace {

using kernel::CodeWriter;

class VdsoWriter : public testing::TestWithParam<CodeWriter> {};

// From /proc/self/maps.
uint64_t vdso_bytes(uint64_t begin) {
  std::ifstream maps("/proc/self/maps");
  for (std::string line; std::getline(maps, line);) {
    uint64_t from = 0;
    uint64_t to = 0;
    if (sscanf(line.c_str(), "%lx-%lx", &from, &to) == 2 && from == begin) return to - from;
  }
  return 0;
}

// The C library's functions go through the vDSO, whose addresses it has looked up long before.
void require_virtual_time() {
  const auto& now = sched::batch_time();
  timespec t = {};
  REQUIRE_EQ(clock_gettime(CLOCK_MONOTONIC, &t), 0);
  REQUIRE_EQ(t.tv_sec * 1'000'000'000 + t.tv_nsec, now.monotonic_ns);
  REQUIRE_EQ(clock_gettime(CLOCK_REALTIME, &t), 0);
  REQUIRE_EQ(t.tv_sec * 1'000'000'000 + t.tv_nsec, now.realtime_ns);
  REQUIRE_EQ(clock_getres(CLOCK_MONOTONIC, &t), 0);
  timeval u = {};
  REQUIRE_EQ(gettimeofday(&u, nullptr), 0);
  REQUIRE_EQ(u.tv_sec, now.realtime_ns / 1'000'000'000);
  time_t seconds = 0;
  REQUIRE_EQ(time(&seconds), u.tv_sec);
  REQUIRE_EQ(seconds, u.tv_sec);
  // Not sched_getcpu(), which asks rseq.
  using GetCpu = int(unsigned*, unsigned*, void*);
  void* vdso = dlopen("linux-vdso.so.1", RTLD_LAZY | RTLD_NOLOAD);
  REQUIRE(vdso != nullptr);
  unsigned cpu = 99;
  REQUIRE_EQ(reinterpret_cast<GetCpu*>(dlsym(vdso, "__vdso_getcpu"))(&cpu, nullptr, nullptr), 0);
  REQUIRE_EQ(cpu, 0);
}

// A kernel may have sealed its mappings against one of the ways.
TEST_P(VdsoWriter, MakesTheVdsoShowVirtualTime) {
  EXPECT_EQ(run_kernel([] {
              const auto patched = kernel::patch_vdso_at(kernel::find_vdso(), GetParam());
              if (patched.err() == EPERM) return;
              REQUIRE(patched.ok());
              require_virtual_time();
            }),
            kPassed);
}

TEST(Vdso, ShowsVirtualTimeOncePatched) {
  EXPECT_EQ(run_kernel([] {
              timespec real = {};
              REQUIRE_EQ(clock_gettime(CLOCK_REALTIME, &real), 0);
              REQUIRE(real.tv_sec * 1'000'000'000 + real.tv_nsec !=
                      static_cast<long>(sched::batch_time().realtime_ns));
              const auto patched = kernel::patch_vdso();
              REQUIRE(patched.ok());
              REQUIRE(patched.value() >= 5);
              require_virtual_time();
              sched::set_batch_time({2, 5'000'000'001, 1'800'000'000'000'000'003, 0, 1});
              require_virtual_time();
              REQUIRE_EQ(clock_gettime(12345, &real), -1);
              REQUIRE_EQ(errno, EINVAL);
            }),
            kPassed);
}

// On a copy, to compare.
TEST_P(VdsoWriter, PutsAJumpAtEachEntryAndNothingElse) {
  constexpr uint64_t kMost = 16 * kPageBytes;
  const uint64_t original = kernel::find_vdso();
  ASSERT_NE(original, 0u);
  const uint64_t bytes = vdso_bytes(original);
  ASSERT_LT(bytes, kMost);
  auto* copy = static_cast<uint8_t*>(
      mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0));
  ASSERT_NE(copy, MAP_FAILED);
  std::memcpy(copy, reinterpret_cast<void*>(original), bytes);
  ASSERT_EQ(mprotect(copy, bytes, PROT_READ | PROT_EXEC), 0);
  const auto patched = kernel::patch_vdso_at(reinterpret_cast<uint64_t>(copy), GetParam());
  ASSERT_TRUE(patched.ok()) << patched.err();
  int jumps = 0;
  const auto* before = reinterpret_cast<const uint8_t*>(original);
  for (uint64_t i = 0; i < bytes; ++i) {
    if (copy[i] == before[i]) continue;
    uint64_t at = i;  // some of the jump's first bytes may be what was there
    while (copy[at] != 0x48 || copy[at + 1] != 0xb8) ASSERT_GT(--at + 12, i);
    ASSERT_EQ(copy[at + 10], 0xff);
    ASSERT_EQ(copy[at + 11], 0xe0);
    ++jumps;
    i = at + 11;
  }
  EXPECT_EQ(jumps, patched.value());
  EXPECT_GE(jumps, 5);
  munmap(copy, bytes);
}

INSTANTIATE_TEST_SUITE_P(Ways, VdsoWriter,
                         testing::Values(CodeWriter::kMprotect, CodeWriter::kMemoryFile),
                         [](const auto& writer) {
                           return writer.param == CodeWriter::kMprotect ? "Mprotect" : "MemoryFile";
                         });

// The same pages serve the process before the scheduler is there: then time is real.
TEST(VdsoBeforeStart, ShowsRealTime) {
  const pid_t child = fork();
  if (child == 0) {
    timespec before = {};
    timespec after = {};
    clock_gettime(CLOCK_MONOTONIC, &before);
    const bool patched = kernel::patch_vdso().value() >= 5;
    const bool asked = clock_gettime(CLOCK_MONOTONIC, &after) == 0;
    _exit(patched && asked && after.tv_sec - before.tv_sec < 60 && after.tv_sec >= before.tv_sec
              ? kPassed
              : kFailed);
  }
  EXPECT_EQ(end_of(child), kPassed);
}

TEST(VdsoImage, RefusesWhatIsNoElfImage) {
  alignas(kPageBytes) static const char nothing[kPageBytes] = {};
  EXPECT_EQ(kernel::patch_vdso_at(reinterpret_cast<uint64_t>(nothing), CodeWriter::kMprotect).err(),
            ENOEXEC);
}

}  // namespace
}  // namespace evenkeel::test
