#pragma once
// Files that hold a record: a header of fixed size, then the serialized message. Written whole or
// not at all, and checked when they are read: truncated, damaged, foreign and newer files are told
// apart.
// Errors: std::runtime_error that says which of these; the system's as std::system_error.
#include <array>
#include <cstdint>
#include <filesystem>
#include <string>
#include <string_view>

#include "runtime/host/report.pb.h"

namespace evenkeel::host {

// Beside ID.report: the state before the batch (state_file.h), for a replay.
constexpr char kBundleExtension[] = ".bundle";

constexpr uint32_t kReportFormat = 1;  // raised when older readers would misread

struct ReportHeader {
  std::array<char, 8> magic;  // "EvkRprt\n"
  uint32_t format;
  uint32_t kind;       // record::Kind
  uint64_t signature;  // signature_of(); what `list` needs stands here
  uint64_t race;       // race_of()
  uint64_t realtime_ns;
  uint64_t bytes;     // of the message
  uint64_t checksum;  // XXH3 of the message
};
static_assert(sizeof(ReportHeader) == 56);

[[nodiscard]] std::string encode_report(const record::Report& report);
[[nodiscard]] ReportHeader decode_header(std::string_view file);
[[nodiscard]] record::Report decode_report(std::string_view file);

[[nodiscard]] uint64_t checksum_of(std::string_view data);

// The first `most` bytes of a file.
[[nodiscard]] std::string read_whole(const std::filesystem::path& path, uint64_t most);

// Whether a file may be put in its place: nothing is there, or another file; no device, no link.
[[nodiscard]] bool is_replaceable(const std::filesystem::path& path);

enum class Durability { kProcess, kMachine };  // survives the end of whom

// Mode 0600; a file of this name is replaced at once. kMachine: it is on the disk on return.
void write_whole(const std::filesystem::path& path, std::string_view data, Durability durability);

}  // namespace evenkeel::host
