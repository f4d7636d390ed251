#pragma once
// The real sockets: epoll, listeners, accepting, reading into the batch.
//
// Connections are registered once, edge-triggered for input and output: no epoll_ctl and no second
// look per request. One read per ready connection; a read that came back short has drained it. The
// kernel calls the writable edge only after a send that did not fit, so it costs nothing otherwise.
// Threads: the coordinator's only one.
// Memory:  event array; lists that keep their capacity.
// Errors:  of a connection become inputs; of accepting pause it until a connection closes.
#include <sys/epoll.h>

#include <cstdint>
#include <vector>

#include "runtime/host/batch.h"
#include "runtime/host/connections.h"
#include "runtime/host/fd.h"

namespace evenkeel::host {

// What may wake the coordinator besides clients.
enum class Source : uint32_t { kConnection = 0, kListener = 1, kSignals = 2, kAdmin = 3 };

class Network {
 public:
  explicit Network(Connections& connections);

  void watch(int fd, Source source);

  // Collects inputs, waiting at most timeout_ns for the first (UINT64_MAX: for ever). Returns the
  // other sources that are ready, as bits 1 << Source; woke_ns is when the waiting ended.
  uint32_t gather(Batch& batch, uint64_t timeout_ns, uint64_t& woke_ns);

  // Inputs are known to be waiting: gather() would not sleep.
  [[nodiscard]] bool has_leftover() const { return !leftover_.empty(); }

  // Takes a listening socket; ids count from 1.
  [[nodiscard]] uint32_t add_listener(Fd socket);
  void remove_listener(uint32_t id);
  // The real socket of a listener or connection, for options; -1: none.
  [[nodiscard]] int listener_fd(uint32_t id) const;

  // Takes an outbound socket. False: no slot.
  bool add_outbound(Fd socket, wire::Channel channel, bool established);

  // The server or the backlog allows reading again.
  void resume(uint32_t slot);

 private:
  // More ready connections wait in the kernel for the next call.
  static constexpr int kMaxEvents = 1024;
  // Of one listener per batch; the others stay in the kernel's queue.
  static constexpr int kMaxAccepts = 256;

  struct Listener {
    Fd socket;
    bool internet = false;  // TCP: replies must not wait for Nagle
    bool paused = false;    // out of file descriptors
  };

  int wait(uint64_t timeout_ns);
  void on_connection(uint32_t slot, uint32_t events, Batch& batch);
  void on_connecting(uint32_t slot, Batch& batch);
  void read(uint32_t slot, Batch& batch);
  void read_failed(uint32_t slot, int error, Batch& batch);
  void deliver_eof(Connection& connection, Batch& batch);
  void read_leftover(Batch& batch);
  void list(uint32_t slot);
  void accept_from(uint32_t id, Batch& batch);
  bool accept_one(uint32_t id, Batch& batch);
  void pause_accepting(const char* why);
  void resume_accepting();
  void register_connection(uint32_t slot);
  void control(int operation, int fd, Source source, uint32_t index, uint32_t events);

  Connections& connections_;
  Fd epoll_;
  std::vector<Listener> listeners_;  // index: id - 1
  std::vector<uint32_t> leftover_;   // slots that are readable and not drained
  std::vector<uint32_t> visiting_;
  uint32_t connections_when_paused_ = 0;
  bool accepting_paused_ = false;
  epoll_event events_[kMaxEvents];
};

}  // namespace evenkeel::host
