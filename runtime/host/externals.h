#pragma once
// Calls whose effect lies outside the replicas, executed once however many replicas ask and however
// often a batch is repeated.
// Threads: the coordinator's only one. Memory: one entry per call until its batch is agreed.
// Errors:  -errno in the call's result; -ESTALE to a replica that asks something else.
#include <cstdint>
#include <unordered_map>
#include <vector>

#include "runtime/host/fd.h"
#include "runtime/host/network.h"
#include "runtime/wire.h"

namespace evenkeel::host {

class Externals {
 public:
  Externals(Connections& connections, Network& network)
      : connections_(connections), network_(network) {}
  // From now on nothing is executed: calls fail with ENETDOWN.
  void go_offline() { offline_ = true; }

  // Answers a posted call and wakes its replica. False: nothing is posted.
  bool serve(wire::ExternalCall& call);

  // The batch is agreed: nobody will ask again. What a discarded run did and the agreed one did not
  // is undone.
  void agree();
  // The batch runs again: calls keep their answers, whichever order they come in now.
  void discard();
  // Start-up begins anew: all sockets are closed.
  void reset();

 private:
  struct Answer {
    uint32_t thread;
    uint32_t index;
    bool discarded;  // made by a run that was rolled back, not yet asked for again
    wire::ExternalOp op;
    wire::Channel channel;
    int64_t value;
    std::vector<uint8_t> in;
    int64_t result;
    std::vector<uint8_t> out;
  };

  const Answer& answer(const wire::ExternalCall& call);
  Answer* find(const wire::ExternalCall& call);
  Answer execute(const wire::ExternalCall& call);
  int64_t bind(const wire::ExternalCall& call, std::vector<uint8_t>& out);
  int64_t listen(const wire::ExternalCall& call);
  int64_t connect(const wire::ExternalCall& call, std::vector<uint8_t>& out);
  void undo(const Answer& answer);

  Connections& connections_;
  Network& network_;
  bool offline_ = false;
  std::unordered_map<wire::Channel, Fd> sockets_;  // bound, not yet listening or connected
  std::unordered_map<wire::Channel, uint32_t> listeners_;
  std::vector<Answer> answers_;
};

}  // namespace evenkeel::host
