#pragma once
// One divergence or fault as plain data. Text and JSON are rendered from it and so agree.
#include <cstdint>
#include <nlohmann/json_fwd.hpp>
#include <string>
#include <vector>

#include "runtime/host/waits.h"

namespace evenkeel::host {

enum class ReportKind : uint32_t {
  kDivergence,
  kFault,
  kLeak,
  kHang,
  kDeadlock,
  kLostWakeup,
  kSuspect,  // agreed, but not serializable by the order of its locks
};

struct ReplicaView {
  uint32_t index = 0;
  std::string status;  // "quiescent", "fault: SIGSEGV at 0x0 in order_add (book.so)"
  std::string token;
  uint32_t dirty_pages = 0;
};

// One value and who has it.
struct Side {
  std::vector<uint32_t> replicas;
  std::string value;  // hexadecimal in 4-byte groups, or printable text
};

struct Difference {
  std::string place;   // "heap block 3:5521, 96 bytes", "global current_time in memcached"
  std::string symbol;  // alone, for the summary; empty if unknown
  uint64_t page = 0;
  uint64_t begin = 0;  // bytes [begin, end) within the place
  uint64_t end = 0;
  std::vector<Side> sides;
};

// One input acquired a lock, another one did, and the first again.
struct InterleavingView {
  uint64_t lock = 0;   // address; 0: learnt in an earlier batch, and tested again
  uint64_t input = 0;  // channels
  uint64_t other = 0;
  std::string before;  // call sites: "store_item+0x12 (memcached)"
  std::string between;
  std::string after;
};

struct InputView {
  uint32_t index = 0;
  std::string kind;
  uint64_t channel = 0;
  uint32_t bytes = 0;
  std::string preview;  // first bytes, printable
};

struct Report {
  ReportKind kind = ReportKind::kDivergence;
  std::string id;  // "41207-118": pid of the coordinator and batch
  std::string server;
  int32_t pid = 0;
  uint64_t batch = 0;
  uint64_t realtime_ns = 0;
  uint32_t primary = 0;
  bool forced = false;  // by --force-mismatch
  std::vector<ReplicaView> replicas;
  std::vector<Difference> differences;
  uint64_t differing_pages = 0;
  bool pages_truncated = false;       // a replica changed more pages than it can list
  uint64_t differences_left_out = 0;  // found but not shown
  std::vector<Difference> outputs;
  std::vector<WaitView> waits;  // of a deadlock, or where a wake-up was lost
  bool waits_truncated = false;
  std::vector<InterleavingView> interleavings;
  uint64_t interleavings_total = 0;
  std::vector<InputView> inputs;
  uint64_t inputs_total = 0;
  std::vector<std::string> actions;  // what was done, in order
  std::string outcome;
};

[[nodiscard]] const char* name_of(ReportKind kind);
[[nodiscard]] std::string summary_of(const Report& report);
[[nodiscard]] std::string render_text(const Report& report);
[[nodiscard]] nlohmann::json render_json(const Report& report);

}  // namespace evenkeel::host
