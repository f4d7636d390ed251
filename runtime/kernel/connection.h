#pragma once
// A TCP or Unix stream connection whose other end is the coordinator.
//
// Input: the bytes of the current command are read in place from the deck; what the server leaves
// unread moves to a queue in tracked memory when the command ends, because the deck is reused.
// Output: a window of kSendWindowBytes, less what the coordinator could not yet send.
#include <sys/socket.h>

#include <cstdint>

#include "runtime/kernel/byte_queue.h"
#include "runtime/kernel/object.h"
#include "runtime/kernel/output.h"
#include "runtime/kernel/socket_options.h"
#include "runtime/wire.h"

namespace evenkeel::kernel {

struct Connection {
  Object object;
  wire::Channel channel;
  Connection* next_in_bucket;

  const uint8_t* fresh;  // unread input in the deck, after `queue`
  uint32_t fresh_bytes;
  ByteQueue queue;  // unread input of earlier commands
  bool eof;         // the peer will send no more
  bool shut_read, shut_write;
  bool paused;  // kPauseInput is in force
  bool in_choked_list;
  bool connecting;  // outbound, kConnected not yet here
  bool accepted;    // the server has taken it off its listener
  int32_t error;    // pending socket error (errno), reported once

  OutputChain chain;
  uint32_t sent;     // bytes written in batch sent_batch
  uint32_t backlog;  // of them and earlier ones, unsent in the coordinator
  uint64_t sent_batch;
  Connection* next_choked;
  Connection* next_pending;  // in its listener's queue

  SocketOptions* options;
  wire::SocketAddress* addresses;  // [0] peer, [1] local; null: unnamed
};

[[nodiscard]] Connection* find_connection(wire::Channel channel);
[[nodiscard]] Connection* create_connection(wire::Channel channel, const wire::SocketAddress* peer,
                                            const wire::SocketAddress* local);
// Of an open descriptor; 0: it is none of a connection.
[[nodiscard]] wire::Channel channel_of(int fd);
[[nodiscard]] bool readable(const Connection& connection);
long shutdown_connection(Connection& connection, int how);

// ---- the pump's side
void deliver_data(Connection& connection, const uint8_t* bytes, uint32_t count);
void deliver_eof(Connection& connection);
void deliver_reset(Connection& connection, int error);
void deliver_backlog(Connection& connection, uint32_t bytes);
void deliver_connected(Connection& connection, int error);
// Moves unread input out of the deck, for the channels that got some in this command.
void settle_inputs();
void forget_inputs();  // a command begins, perhaps after a rollback
[[nodiscard]] bool any_choked_without_backlog();

void init_connections();

}  // namespace evenkeel::kernel
