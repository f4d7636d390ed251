#pragma once
// An output area taken apart per channel, for comparison: outputs of different channels have no
// order between them.
#include <cstdint>
#include <map>
#include <string>
#include <utility>
#include <vector>

namespace evenkeel::host {

// What a channel was given: its data, with events in brackets between ("[close]").
using OutputStreams = std::map<uint64_t, std::string>;

// Stops at the first record that does not fit.
[[nodiscard]] OutputStreams split_outputs(const uint8_t* area, uint64_t bytes);

// Offset of the first byte in which the texts differ; SIZE_MAX: none.
[[nodiscard]] size_t first_difference(const std::vector<std::pair<uint32_t, std::string>>& values);

// Printable ASCII as it is, the rest as \n, \r or \xNN.
[[nodiscard]] std::string printable(const uint8_t* data, size_t bytes);

}  // namespace evenkeel::host
