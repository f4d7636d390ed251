#pragma once
// The counters of a run as JSON, the socket that serves them, and the command that asks for them.
#include <nlohmann/json_fwd.hpp>
#include <string>

#include "runtime/host/fd.h"
#include "runtime/host/replicas.h"
#include "runtime/host/state_dir.h"
#include "runtime/host/stats.h"
#include "runtime/wire.h"

namespace evenkeel::host {

[[nodiscard]] nlohmann::json status_json(const wire::Deck& deck, const Replicas& replicas,
                                         const Stats& stats, const std::string& name);
[[nodiscard]] std::string status_text(const nlohmann::json& status);

// STATE/NAME/admin.sock: whoever connects gets one JSON object.
class AdminEndpoint {
 public:
  explicit AdminEndpoint(const StateDir& state);
  ~AdminEndpoint();
  AdminEndpoint(const AdminEndpoint&) = delete;
  AdminEndpoint& operator=(const AdminEndpoint&) = delete;

  [[nodiscard]] int fd() const { return socket_.get(); }
  void answer(const nlohmann::json& status);

 private:
  sockaddr_un address_;
  Fd socket_;
};

// evenkeel status. Throws Refusal (1) when nothing runs under the name.
[[nodiscard]] nlohmann::json query_status(const StateDir& state);

}  // namespace evenkeel::host
