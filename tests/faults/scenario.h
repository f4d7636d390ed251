#pragma once
// What is done with a server while one of the library's system calls fails, and what came of it.
// Threads: one owner. Errors: none; what goes wrong is part of what is seen.
#include <iosfwd>
#include <optional>
#include <string>

#include "tests/faults/interceptor.h"
#include "tests/support/server.h"

namespace evenkeel::test {

enum class Kind {
  kService,  // serves memcache clients until SIGTERM
  kDaemon,   // the same, in the background
  kProgram   // ends by itself, with 0 if it has found everything right
};

struct Scenario {
  std::string name;
  Kind kind;
  Words options;  // of `evenkeel run`
  Words command;
  bool preload = false;  // LD_PRELOAD instead of `evenkeel run`
};

void PrintTo(const Scenario& scenario, std::ostream* out);  // found by GoogleTest

// Everything that somebody outside could see.
struct Seen {
  bool in_time = true;    // it ended, and left no process
  bool complete = false;  // all was asked and answered
  std::string wrong;      // the first wrong answer
  std::string trouble;    // why it is not complete
  Ending ending;
  std::string messages;   // stderr, and the daemon's log
  nlohmann::json status;  // after the last answer
  uint32_t refusals = 0;  // calls that were refused
  Interceptor::CallCounts calls;
};

Seen play(const Scenario& scenario, const Library& library, std::optional<Refused> refused);

struct Verdict {
  bool good;
  std::string text;  // one line
};

// What must hold: service as if nothing had happened; or service, or an end that is no success,
// with a message that says what failed.
Verdict judge(const Seen& seen);

}  // namespace evenkeel::test
