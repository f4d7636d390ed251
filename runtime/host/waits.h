#pragma once
// Who waits for what, for reports: from the deck to the record, and its rendering.
#include <nlohmann/json_fwd.hpp>
#include <string>

#include "runtime/host/report.pb.h"
#include "runtime/wire.h"

namespace evenkeel::host {

using WaitList = google::protobuf::RepeatedPtrField<record::Wait>;

// Without places. Bounded, whatever the server has written there.
[[nodiscard]] WaitList view_waits(const wire::Waits& waits);

// "T3 waits for mutex X, held by T5"
[[nodiscard]] std::string wait_text(const record::Wait& wait);
// All of them in one line, for a headline; long lists are cut.
[[nodiscard]] std::string waits_text(const WaitList& waits);
[[nodiscard]] nlohmann::json waits_json(const WaitList& waits);

}  // namespace evenkeel::host
