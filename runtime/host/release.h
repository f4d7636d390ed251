#pragma once
// Agreed output goes out: each connection's records of a command are merged into one send.
// Threads: the coordinator's only one, between two commands.
// Memory:  one entry per record, capacity kept.
// Errors:  release() is false when the area is not well-formed: the server has overwritten it.
#include <cstdint>
#include <vector>

#include "runtime/host/connections.h"
#include "runtime/host/fd.h"
#include "runtime/host/network.h"
#include "runtime/wire.h"

namespace evenkeel::host {

class Release {
 public:
  Release(Connections& connections, Network& network);

  // All records of an output area, `bytes` long. Nothing has been sent when it returns false.
  [[nodiscard]] bool release(const uint8_t* area, uint64_t bytes);

 private:
  // A connection's pieces in one system call (IOV_MAX); more pieces take another.
  static constexpr size_t kMaxPieces = 1024;

  struct Chunk {
    const uint8_t* data;
    uint32_t bytes;
    uint32_t next;  // of the same connection, or kNoChunk
  };

  static bool well_formed(const uint8_t* area, uint64_t bytes);
  void obey(const wire::OutputRecord& record, const uint8_t* payload);
  void obey_on_connection(uint32_t slot, const wire::OutputRecord& record, const uint8_t* payload);
  void append(uint32_t slot, const uint8_t* payload, uint32_t bytes);
  void flush(uint32_t slot);
  void flush_all();
  void set_option(const wire::OutputRecord& record, const uint8_t* payload);
  void syslog(const uint8_t* payload, uint32_t bytes);

  Connections& connections_;
  Network& network_;
  std::vector<Chunk> chunks_;
  std::vector<uint32_t> touched_;  // slots with pieces to send
  std::vector<iovec> pieces_;
  Fd syslog_;
};

}  // namespace evenkeel::host
