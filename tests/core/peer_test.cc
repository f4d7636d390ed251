#include "runtime/core/peer.h"

#include <gtest/gtest.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <string>

namespace evenkeel {
namespace {

constexpr size_t kPage = 4096;
int g_variable = 1;

// A child that has changed its copy of our memory and stands still.
class PeerTest : public testing::Test {
 protected:
  PeerTest() {
    int ends[2];
    if (pipe(ends) != 0) abort();
    pid_ = fork();
    if (pid_ == 0) {
      g_variable = 2;
      memset(memory_, 'p', 3 * kPage);
      mprotect(memory_ + kPage, kPage, PROT_NONE);
      if (write(ends[1], "", 1) != 1) _exit(1);
      for (;;) pause();
    }
    char ready = 0;
    if (read(ends[0], &ready, 1) != 1) abort();
    close(ends[0]);
    close(ends[1]);
  }
  ~PeerTest() override {
    end();
    munmap(memory_, 4 * kPage);
  }
  void end() {
    if (pid_ <= 0) return;
    kill(pid_, SIGKILL);
    waitpid(pid_, nullptr, 0);
    pid_ = -1;
  }
  [[nodiscard]] uint64_t address() const { return reinterpret_cast<uint64_t>(memory_); }

  char* memory_ = static_cast<char*>(
      mmap(nullptr, 4 * kPage, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0));
  pid_t pid_ = -1;
};

TEST_F(PeerTest, TakesTheOtherProcessesValueOfAVariable) {
  const Peer peer(pid_);
  EXPECT_TRUE(peer.take(g_variable).ok());
  EXPECT_EQ(g_variable, 2);
  g_variable = 1;
}

TEST_F(PeerTest, ReadsAcrossPagesThatTheOtherMayNotRead) {
  const Peer peer(pid_);
  std::string read(3 * kPage - 200, ' ');
  EXPECT_EQ(peer.read(address() + 100, read.data(), read.size()).err(), 0);
  EXPECT_TRUE(read == std::string(read.size(), 'p'));
}

TEST_F(PeerTest, WhatIsNotMappedIsAnError) {
  munmap(memory_ + 3 * kPage, kPage);
  const Peer peer(pid_);
  char byte = 0;
  EXPECT_FALSE(peer.read(0x1000, &byte, 1).ok());
}

TEST_F(PeerTest, AProcessThatIsGoneIsAnError) {
  const Peer peer(pid_);
  end();
  char byte = 0;
  EXPECT_EQ(peer.read(address(), &byte, 1).err(), ESRCH);
  EXPECT_EQ(Peer(0x3fffff).read(address(), &byte, 1).err(), ESRCH);
}

}  // namespace
}  // namespace evenkeel
