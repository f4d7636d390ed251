#pragma once
// Who waits for what, for reports. Plain data and its rendering.
#include <cstdint>
#include <nlohmann/json_fwd.hpp>
#include <string>
#include <vector>

#include "runtime/wire.h"

namespace evenkeel::host {

struct WaitView {
  uint32_t thread = 0;
  wire::WaitKind kind = wire::WaitKind::kOther;
  uint64_t object = 0;  // address
  std::string place;    // "global accounts in bank, 80 bytes, at byte 40"; empty: unknown
  uint32_t owner = wire::kNoThread;
  bool owner_exited = false;
  bool earlier = false;  // it waited before the batch began
};

// Without places. Bounded, whatever the server has written there.
[[nodiscard]] std::vector<WaitView> view_waits(const wire::Waits& waits);

// "T3 waits for mutex X, held by T5"
[[nodiscard]] std::string wait_text(const WaitView& wait);
// All of them in one line, for a headline; long lists are cut.
[[nodiscard]] std::string waits_text(const std::vector<WaitView>& waits);
[[nodiscard]] nlohmann::json waits_json(const std::vector<WaitView>& waits);

}  // namespace evenkeel::host
