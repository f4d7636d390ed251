#pragma once
// What a record says, in words. Text and JSON are rendered from it and so agree; it is one protobuf
// message, see report.proto.
#include <nlohmann/json_fwd.hpp>
#include <string>

#include "runtime/host/report.pb.h"

namespace evenkeel::host {

using record::Report;

[[nodiscard]] const char* name_of(record::Kind kind);  // "DIVERGENCE"

// "heap block B3.5521, 96 bytes", "global current_time in memcached, 4 bytes"
[[nodiscard]] std::string place_of(const record::Object& object);
// "store_item+0x12 (memcached)"; without symbols "memcached+0x81f2", in no file the address.
[[nodiscard]] std::string code_text(const record::Frame& frame);
// Bytes [begin, end) of the object: hexadecimal in 4-byte groups, or printable text for an output.
[[nodiscard]] std::string value_text(const record::Difference& difference,
                                     const record::Value& value);
// ": 00000001 -> 00000002"
[[nodiscard]] std::string value_change_text(const record::Write& write);
// Its first bytes, printable.
[[nodiscard]] std::string preview_of(const record::Input& input);
[[nodiscard]] std::string who(const record::Value& value);  // "replicas 0,1"
[[nodiscard]] std::string time_text(uint64_t realtime_ns);  // "2025-12-17T19:33:20Z"

[[nodiscard]] std::string headline_of(const Report& report);
[[nodiscard]] std::string summary_of(const Report& report);
[[nodiscard]] std::string render_text(const Report& report);
[[nodiscard]] nlohmann::json render_json(const Report& report);

}  // namespace evenkeel::host
