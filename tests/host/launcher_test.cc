#include "runtime/host/launcher.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <string>
#include <vector>

namespace evenkeel::host {
namespace {

std::vector<std::string> environment(std::vector<std::string> inherited, uint32_t replica = 0) {
  std::vector<char*> pointers;
  for (std::string& entry : inherited) pointers.push_back(entry.data());
  pointers.push_back(nullptr);
  return replica_environment(pointers.data(), "/lib/libevenkeel.so", 7, replica);
}

bool holds(const std::vector<std::string>& env, const std::string& entry) {
  return std::count(env.begin(), env.end(), entry) == 1;
}

TEST(Launcher, AddsWhatAReplicaNeeds) {
  const auto env = environment({"PATH=/bin", "EVENKEEL_TARGET=memcached"});
  EXPECT_TRUE(holds(env, "PATH=/bin"));
  EXPECT_TRUE(holds(env, "EVENKEEL_TARGET=memcached"));
  EXPECT_TRUE(holds(env, "LD_PRELOAD=/lib/libevenkeel.so"));
  EXPECT_TRUE(holds(env, "LD_BIND_NOW=1"));
  EXPECT_TRUE(holds(env, "GLIBC_TUNABLES=glibc.pthread.rseq=0:glibc.pthread.stack_cache_size=0"));
  EXPECT_TRUE(holds(env, "EVENKEEL_DECK_FD=0000000007"));
  EXPECT_TRUE(holds(env, "EVENKEEL_REPLICA=00"));
}

TEST(Launcher, ExtendsWhatIsThere) {
  const auto env = environment({"LD_PRELOAD=/opt/libevenkeel.so:/lib/other.so /lib/third.so",
                                "GLIBC_TUNABLES=glibc.malloc.check=3", "EVENKEEL_REPLICA=5"});
  EXPECT_TRUE(holds(env, "LD_PRELOAD=/lib/libevenkeel.so:/lib/other.so:/lib/third.so"));
  EXPECT_TRUE(holds(env,
                    "GLIBC_TUNABLES=glibc.malloc.check=3:glibc.pthread.rseq=0:"
                    "glibc.pthread.stack_cache_size=0"));
  EXPECT_FALSE(holds(env, "EVENKEEL_REPLICA=5"));
}

TEST(Launcher, EnvironmentsDifferOnlyInValuesOfEqualLength) {
  const auto first = environment({"A=1", "B=2"}, 0);
  const auto last = environment({"A=1", "B=2"}, wire::kMaxReplicas - 1);
  ASSERT_EQ(first.size(), last.size());
  int differing = 0;
  for (size_t i = 0; i < first.size(); ++i) {
    EXPECT_EQ(first[i].size(), last[i].size());
    differing += first[i] != last[i] ? 1 : 0;
  }
  EXPECT_EQ(differing, 1);
}

}  // namespace
}  // namespace evenkeel::host
