#include "runtime/host/release.h"

#include <sys/socket.h>
#include <sys/uio.h>
#include <sys/un.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

#include "runtime/host/output_records.h"

namespace evenkeel::host {
namespace {

void write_all(int fd, const uint8_t* data, size_t bytes) {
  while (bytes != 0) {
    const ssize_t written = ::write(fd, data, bytes);
    if (written < 0 && errno == EINTR) continue;
    if (written <= 0) return;  // the user closed it: what a server would see as EPIPE and ignore
    data += written;
    bytes -= static_cast<size_t>(written);
  }
}

}  // namespace

Release::Release(Connections& connections, Network& network)
    : connections_(connections), network_(network) {
  pieces_.reserve(kMaxPieces);
}

bool Release::well_formed(const uint8_t* area, uint64_t bytes) {
  if (bytes > wire::kOutputBytes) return false;
  bool known = true;
  const bool whole = for_each_output(area, bytes, [&](const wire::OutputRecord& record, auto*) {
    known = known && record.kind >= wire::OutputKind::kData &&
            record.kind <= wire::OutputKind::kResumeInput;
  });
  return whole && known;
}

bool Release::release(const uint8_t* area, uint64_t bytes) {
  if (bytes == 0) return true;
  if (!well_formed(area, bytes)) return false;
  for_each_output(area, bytes, [this](const wire::OutputRecord& record, const uint8_t* payload) {
    obey(record, payload);
  });
  flush_all();
  return true;
}

void Release::obey(const wire::OutputRecord& record, const uint8_t* payload) {
  switch (record.kind) {
    case wire::OutputKind::kStdio:
      return write_all(record.channel == 2 ? 2 : 1, payload, record.bytes);
    case wire::OutputKind::kSyslog:
      return syslog(payload, record.bytes);
    case wire::OutputKind::kOption:
      return set_option(record, payload);
    case wire::OutputKind::kUnlisten:
      return network_.remove_listener(static_cast<uint32_t>(record.channel));
    default:
      break;
  }
  const uint32_t slot = connections_.slot_of(record.channel);
  if (slot != UINT32_MAX) obey_on_connection(slot, record, payload);
}

void Release::obey_on_connection(uint32_t slot, const wire::OutputRecord& record,
                                 const uint8_t* payload) {
  switch (record.kind) {
    case wire::OutputKind::kData:
      return append(slot, payload, record.bytes);
    case wire::OutputKind::kShutdownWrite:
      flush(slot);
      return connections_.server_shut_down(slot);
    case wire::OutputKind::kClose:
      flush(slot);
      return connections_.server_closed(slot);
    case wire::OutputKind::kAbort:
      flush(slot);
      return connections_.server_aborted(slot);
    case wire::OutputKind::kPauseInput:
      connections_.at(slot).flags |= kServerPaused;
      return;
    case wire::OutputKind::kResumeInput:
      connections_.at(slot).flags &= ~kServerPaused;
      return network_.resume(slot);
    default:
      return;
  }
}

void Release::append(uint32_t slot, const uint8_t* payload, uint32_t bytes) {
  if (bytes == 0) return;
  Connection& connection = connections_.at(slot);
  const auto chunk = static_cast<uint32_t>(chunks_.size());
  chunks_.push_back({payload, bytes, kNoChunk});
  if (connection.first_chunk == kNoChunk) {
    connection.first_chunk = chunk;
    touched_.push_back(slot);
  } else {
    chunks_[connection.last_chunk].next = chunk;
  }
  connection.last_chunk = chunk;
}

void Release::flush(uint32_t slot) {
  Connection& connection = connections_.at(slot);
  uint32_t chunk = connection.first_chunk;
  connection.first_chunk = kNoChunk;
  while (chunk != kNoChunk) {
    pieces_.clear();
    for (; chunk != kNoChunk && pieces_.size() < kMaxPieces; chunk = chunks_[chunk].next) {
      pieces_.push_back({const_cast<uint8_t*>(chunks_[chunk].data), chunks_[chunk].bytes});
    }
    connections_.send(slot, pieces_.data(), pieces_.size());
  }
}

void Release::flush_all() {
  // A slot freed meanwhile (closed, sending failed) has no chunks any more: flush() does nothing.
  for (const uint32_t slot : touched_) flush(slot);
  touched_.clear();
  chunks_.clear();
}

void Release::set_option(const wire::OutputRecord& record, const uint8_t* payload) {
  int32_t words[2];  // level, name
  if (record.bytes < sizeof words) return;
  std::memcpy(words, payload, sizeof words);
  const uint32_t slot = connections_.slot_of(record.channel);
  const int fd = slot != UINT32_MAX ? connections_.at(slot).fd
                                    : network_.listener_fd(static_cast<uint32_t>(record.channel));
  // The server was told success in advance; what the kernel refuses here it would have refused too.
  if (fd >= 0) {
    ::setsockopt(fd, words[0], words[1], payload + sizeof words,
                 record.bytes - static_cast<socklen_t>(sizeof words));
  }
}

void Release::syslog(const uint8_t* payload, uint32_t bytes) {
  if (!syslog_.valid()) {
    syslog_.reset(::socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    std::strcpy(address.sun_path, "/dev/log");
    if (::connect(syslog_.get(), reinterpret_cast<sockaddr*>(&address), sizeof address) != 0) {
      syslog_.reset();
      return;  // no logger: as without us
    }
  }
  if (::send(syslog_.get(), payload, bytes, MSG_NOSIGNAL) < 0 && errno != EAGAIN) syslog_.reset();
}

}  // namespace evenkeel::host
