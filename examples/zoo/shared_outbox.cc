// Kind: data race on a connection's buffer.
// Modelled on: Cherokee 0.9.2 (cherokee_buffer_add on a buffer that several threads append to, the
// lock around something else).
// Manifests: messages to a client are lost, torn or overwritten.
#include <cstdio>
#include <cstring>

#include "examples/zoo/support/server.h"

namespace {

constexpr size_t kClients = 16;
constexpr size_t kOutboxBytes = 16 << 10;
constexpr size_t kReserveBytes = 2 << 10;  // for messages that come while it gets full

// What others have for a client; its own thread sends it.
struct Outbox {
  volatile size_t used;
  char bytes[kOutboxBytes];
};

Outbox outboxes[kClients];

bool append(Outbox& outbox, const char* message, size_t size) {
  const size_t end = outbox.used;  // RACE 1
  if (end + size > kOutboxBytes - kReserveBytes) return false;
  for (size_t i = 0; i < size; ++i) outbox.bytes[end + i] = message[i];  // RACE 1
  outbox.used = end + size;                                              // RACE 1
  return true;
}

void collect(Outbox& outbox, std::string& reply) {
  for (size_t i = 0; i < outbox.used; ++i) {  // RACE 2
    const char c = outbox.bytes[i];           // RACE 2
    reply += c > ' ' ? c : '?';
  }
  outbox.used = 0;  // RACE 2
}

bool tell(size_t client, const char* who, unsigned long number) {
  char message[80];
  const int size = std::snprintf(message, sizeof message, "%s:%06lu:%08x;", who, number,
                                 zoo::checksum(&number, sizeof number));
  return append(outboxes[client % kClients], message, static_cast<size_t>(size));
}

// tell CLIENT WHO NUMBER -> OK, or FULL; collect CLIENT -> what it was told since the last time
void answer(zoo::Connection&, const zoo::Request& request, std::string& reply) {
  if (request.is("tell")) {
    reply += tell(request.number(1), request.word(2), request.number(3)) ? "OK" : "FULL";
  } else if (request.is("collect")) {
    collect(outboxes[request.number(1) % kClients], reply);
  } else {
    reply += "ERROR";
  }
}

}  // namespace

int main(int argc, char** argv) {
  return zoo::serve_with_thread_per_connection(argc, argv, answer);
}
