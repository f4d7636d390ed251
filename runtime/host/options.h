#pragma once
// One table of options feeds the parser, --help, the environment, completion and the man page.
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "runtime/host/admin_address.h"
#include "runtime/wire.h"

namespace evenkeel::record {
enum ReportBytes : int;  // report.proto
}

namespace evenkeel::host {

// What to do when an input crashes the server even alone: close its connection and go on from the
// state before it, or end as the bare server would.
enum class Poison : uint32_t { kDrop, kCrash };

// How a stored batch is executed again.
enum class Schedule : uint32_t {
  kRecorded,    // ordered operations as the primary recorded them in the failed execution
  kParallel,    // free, on all carriers
  kSequential,  // one input at a time, one thread at a time: as a repair does it
};

constexpr char kLearnName[] = "learn";  // --mixer learn

struct Options {
  uint32_t replicas = 2;
  wire::Order order = wire::Order::kRecorded;
  std::optional<wire::Follower> follower;  // absent: serial if recorded, parallel if independent
  wire::Mode mode = wire::Mode::kParallel;
  wire::Tracker tracker = wire::Tracker::kAuto;
  Poison on_poison = Poison::kDrop;
  uint64_t poison_limit = 60;  // inputs dropped per minute
  wire::Guard guard = wire::Guard::kLearn;
  std::string state_dir;  // empty: default_state_dir()
  std::string name;       // empty: base name of the server
  uint64_t hang_timeout_s = 2;
  uint32_t carriers = 0;               // 0: number of processors
  uint64_t force_mismatch = 0;         // 0: never; N: every Nth batch
  uint64_t inject_crash = 0;           // 0: never; N: one batch in N, at random
  std::string mixer;                   // empty: none
  std::string rules;                   // mixer explain: as for `mixer`
  uint32_t mixer_lies = 0;             // of a hundred footprints
  uint64_t diagnose_limit = 48 << 20;  // bytes of state; 0: no diagnosis
  Schedule schedule = Schedule::kRecorded;
  uint32_t times = 1;
  bool gdb = false;  // replay: under the debugger
  AdminAddress admin;
  std::string output;                  // file that report html and export write
  bool once = false;                   // top: one screen
  record::ReportBytes report_bytes{};  // FULL
  uint32_t false_conflicts = 0;        // of annotated requests; 0: none; N: one in N
  uint32_t missed_conflicts = 0;
  bool json = false;
};

enum CommandBit : uint32_t {
  kForRun = 1,
  kForStatus = 2,
  kForReport = 4,
  kForMixer = 8,
  kForReplay = 16,
  kForTop = 32
};

struct OptionRow {
  const char* name;      // without the dashes; the environment variable follows from it
  const char* value;     // as help shows it: "N", "a|b"; empty: a flag
  const char* fallback;  // default, in words
  const char* help;
  uint32_t commands;                          // CommandBit set
  bool hidden;                                // test hook: works, but is not shown
  void (*set)(Options&, const std::string&);  // throws std::invalid_argument
  const char* letter = "";                    // short form; empty: none

  [[nodiscard]] std::string env() const;  // "EVENKEEL_STATE_DIR"
};

struct CommandRow {
  const char* name;
  const char* synopsis;
  const char* help;
};

[[nodiscard]] std::span<const OptionRow> option_table();
[[nodiscard]] std::span<const CommandRow> command_table();

}  // namespace evenkeel::host
