// Looks at a clock that Evenkeel does not rule, so that its replicas differ whatever is done: each
// wake-up ends with the state of one replica copied to the other, open files and all.
#include <fcntl.h>
#include <unistd.h>
#include <x86intrin.h>

#include <cstdio>
#include <memory>
#include <vector>

int main() {
  constexpr int kLeaks = 3;
  char name[] = "/tmp/evenkeel-leaky-XXXXXX";
  const int written = mkstemp(name);
  const int read_only = open(name, O_RDONLY);
  if (written < 0 || read_only < 0) {
    std::perror(name);
    return 1;
  }
  unlink(name);  // now: a replica that dies could not
  const auto cell = std::make_unique<unsigned long long>();
  std::vector<char> memory;
  for (int i = 0; i < kLeaks; ++i) {
    usleep(1000);
    *cell = __rdtsc();
    memory.resize(memory.size() + 100'000, 'm');
    if (write(written, "x", 1) != 1) std::perror("write");
  }
  usleep(1000);
  char text[8];
  const bool right = read(read_only, text, sizeof text) == kLeaks;
  if (!right) std::fputs("leaky_program: what was written is not there\n", stderr);
  return right ? 0 : 1;
}
