#pragma once
// Every client connection, dense by slot, and the output that waits for slow readers.
// Threads: the coordinator's only one.
// Memory:  40 bytes a slot; a backlog buffer only while a client does not read. No allocation in
//          steady state.
// Errors:  a broken socket becomes a kReset note; nothing here fails.
#include <cstdint>
#include <memory>
#include <unordered_map>
#include <vector>

#include "runtime/wire.h"

struct iovec;

namespace evenkeel::host {

class Batch;

// Bytes that the server has written and the client's socket has not taken. At most a send window
// plus one batch's output: write() of the replicas is closed beyond the window.
struct Backlog {
  std::vector<uint8_t> bytes;
  size_t head = 0;
  [[nodiscard]] size_t size() const { return bytes.size() - head; }
};

enum ConnectionFlag : uint32_t {
  kConnecting = 1 << 0,    // outbound, not yet established
  kReadable = 1 << 1,      // the edge was seen, the socket is not drained
  kListed = 1 << 2,        // in Network's list of connections to read again
  kPeerFinished = 1 << 3,  // the peer's FIN has arrived; data may precede it
  kErrorSeen = 1 << 4,     // EPOLLERR: after the data a read returns the error
  kEofDelivered = 1 << 5,
  kResetDelivered = 1 << 6,    // the socket is closed; the slot waits for the server's close
  kServerPaused = 1 << 7,      // kPauseInput
  kBacklogPaused = 1 << 8,     // the client does not read: do not take more requests from it
  kServerClosed = 1 << 9,      // close as soon as the backlog is sent
  kShutdownPending = 1 << 10,  // half-close as soon as the backlog is sent
  kNoted = 1 << 11,            // in the list of connections with news for the next batch
  kResetNoted = 1 << 12,       // sending failed: that news is a reset
};

constexpr uint32_t kNoChunk = UINT32_MAX;

struct Connection {
  int fd = -1;
  uint32_t flags = 0;
  wire::Channel channel = 0;        // 0: the slot is free
  uint32_t first_chunk = kNoChunk;  // of this batch's output; see Release
  uint32_t last_chunk = kNoChunk;
  uint64_t reported_backlog = 0;  // what the replicas were told last
  std::unique_ptr<Backlog> backlog;

  [[nodiscard]] bool has(uint32_t flag) const { return (flags & flag) != 0; }
  [[nodiscard]] uint64_t backlog_bytes() const { return backlog ? backlog->size() : 0; }
  [[nodiscard]] bool may_read() const {
    return fd >= 0 && !has(kServerPaused | kBacklogPaused | kEofDelivered | kResetDelivered |
                           kServerClosed | kConnecting);
  }
};

class Connections {
 public:
  static constexpr uint32_t kMaxSlots = 1U << wire::kChannelSlotBits;
  // A client that has so much to read must read before it is asked for more.
  static constexpr uint64_t kPauseReadingBytes = wire::kSendWindowBytes / 2;

  Connections();
  ~Connections();
  Connections(const Connections&) = delete;
  Connections& operator=(const Connections&) = delete;

  // Takes the socket. UINT32_MAX when all slots are taken: then the socket is still the caller's.
  [[nodiscard]] uint32_t open(int fd);
  [[nodiscard]] uint32_t open_outbound(int fd, wire::Channel channel);
  [[nodiscard]] Connection& at(uint32_t slot) { return slots_[slot]; }
  // UINT32_MAX: no such channel (any more).
  [[nodiscard]] uint32_t slot_of(wire::Channel channel) const;
  [[nodiscard]] uint32_t count() const { return count_; }
  [[nodiscard]] uint64_t opened() const { return serial_; }

  // Sends the pieces, keeps what the socket does not take. After it the pieces may be overwritten.
  void send(uint32_t slot, iovec* pieces, size_t count);
  // The socket has room again.
  void drain(uint32_t slot);

  void server_closed(uint32_t slot);     // close after the backlog
  void server_aborted(uint32_t slot);    // close with a reset, now
  void server_shut_down(uint32_t slot);  // half-close after the backlog
  void client_gone(uint32_t slot);       // kReset was or will be delivered
  void drop_client(uint32_t slot);       // by a reset; the batch brings the kReset itself

  // Adds the news (kBacklog, kReset) to a batch, as far as it has room.
  void deliver_notes(Batch& batch);
  [[nodiscard]] bool has_notes() const { return !noted_.empty(); }

 private:
  uint32_t take_slot();
  void free_slot(uint32_t slot);
  void keep(Connection& connection, const iovec* pieces, size_t count);
  void note(uint32_t slot);
  void backlog_changed(uint32_t slot);
  void finish_backlog(uint32_t slot);
  bool deliver_note(Connection& connection, Batch& batch);

  std::vector<Connection> slots_;
  std::vector<uint32_t> free_;
  std::vector<uint32_t> noted_;
  std::unordered_map<wire::Channel, uint32_t> outbound_;  // channels that replicas have chosen
  uint64_t serial_ = 0;
  uint32_t count_ = 0;
};

}  // namespace evenkeel::host
