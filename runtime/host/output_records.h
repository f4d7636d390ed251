#pragma once
// The walk over an output area, whose lengths come from memory that the server can overwrite.
#include <algorithm>
#include <cstdint>
#include <cstring>

#include "runtime/wire.h"

namespace evenkeel::host {

// visit(record, payload) for each record in the first `bytes` of the area. Stops at one that does
// not fit; true if there was none.
template <typename Visit>
bool for_each_output(const uint8_t* area, uint64_t bytes, Visit visit) {
  const uint64_t end = std::min(bytes, wire::kOutputBytes);
  wire::OutputRecord record;
  uint64_t at = 0;
  while (end - at >= sizeof record) {
    std::memcpy(&record, area + at, sizeof record);
    const uint64_t step = sizeof record + ((uint64_t{record.bytes} + 7) & ~uint64_t{7});
    if (end - at < step) return false;
    visit(record, area + at + sizeof record);
    at += step;
  }
  return at == bytes;
}

}  // namespace evenkeel::host
