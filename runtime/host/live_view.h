#pragma once
// --admin ADDRESS:PORT: /metrics for Prometheus, / for people. Off by default, loopback only.
//
// Threads: start() makes one that listens and two that answer; all signals are the main thread's.
//          They read what the coordinator publishes (LiveStats), atomics of the deck, and files.
// Errors:  Refusal if the address cannot be had. Later ones are HTTP's: the service goes on.
#include <filesystem>
#include <future>
#include <memory>
#include <string>

#include "runtime/host/admin_address.h"
#include "runtime/host/live_stats.h"
#include "runtime/wire.h"

namespace httplib {
class Server;
}

namespace evenkeel::host {

class LiveView {
 public:
  LiveView(const AdminAddress& address, const wire::Deck& deck, const LiveStats& stats,
           std::string name, std::filesystem::path reports);
  // Waits for answers in the making, but for no client.
  ~LiveView();
  LiveView(const LiveView&) = delete;
  LiveView& operator=(const LiveView&) = delete;

  // After the last fork of the run itself.
  void start();

 private:
  struct Source;  // what answers are made from, until the run ends

  std::shared_ptr<Source> source_;
  std::shared_ptr<httplib::Server> server_;  // null: no live view
  std::future<void> ended_;                  // valid once started
};

}  // namespace evenkeel::host
