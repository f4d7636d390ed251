#pragma once
#include <cstdint>
#include <string>

namespace kvstore {

// The planted bugs. Each is a mistake that real servers have shipped.
enum class Bug {
  kNone,
  kLostUpdate,     // increment: read, compute, write, and no lock
  kTornValue,      // a value is overwritten in place, in two halves, while others copy it
  kUnlockedChain,  // hash chains change without the bucket's lock
  kSplitLock,      // increment: a lock around the read, and another around the write
};

struct Options {
  std::string listen = "127.0.0.1";
  uint16_t port = 11311;
  unsigned threads = 4;
  unsigned buckets = 64;
  unsigned work = 50000;  // iterations of an empty loop where a real server would compute
  unsigned work_us = 0;   // microseconds that an increment waits for something outside
  Bug bug = Bug::kNone;
};

// Prints the reason and exits with 2 if the arguments make no sense.
Options parse_options(int argc, char** argv);
const char* bug_name(Bug bug);

}  // namespace kvstore
