// Kind: order violation, use before initialisation.
// Modelled on: Transmission #1818 (a thread that was started early uses what its creator has not
// set up yet). Manifests: the helper follows a null pointer: SIGSEGV.
#include <cstdlib>

#include "examples/zoo/support/server.h"

namespace {

struct Bandwidth {
  size_t count;
  uint32_t limits[1];  // `count` of them
};

struct Session {
  pthread_t helper;
  Bandwidth* volatile bandwidth;
  uint32_t granted;
};

Bandwidth* make_bandwidth(size_t count) {
  auto* bandwidth =
      static_cast<Bandwidth*>(std::malloc(sizeof(Bandwidth) + count * sizeof(uint32_t)));
  bandwidth->count = count;
  for (size_t i = 0; i < count; ++i) bandwidth->limits[i] = zoo::checksum(&i, sizeof i);
  return bandwidth;
}

void* grant(void* argument) {
  auto* session = static_cast<Session*>(argument);
  const Bandwidth* bandwidth = session->bandwidth;  // RACE 2
  for (size_t i = 0; i < bandwidth->count; ++i) session->granted += bandwidth->limits[i];
  return nullptr;
}

uint32_t open_session(size_t peers) {
  auto* session = static_cast<Session*>(std::calloc(1, sizeof(Session)));
  if (pthread_create(&session->helper, nullptr, grant, session) != 0) std::abort();
  session->bandwidth = make_bandwidth(peers);  // RACE 1
  pthread_join(session->helper, nullptr);
  const uint32_t granted = session->granted;
  std::free(session->bandwidth);
  std::free(session);
  return granted;
}

// open PEERS -> what was granted to them, a function of their number
void answer(zoo::Connection&, const zoo::Request& request, std::string& reply) {
  if (!request.is("open")) {
    reply += "ERROR";
    return;
  }
  reply += std::to_string(open_session(request.number(1)));
}

}  // namespace

int main(int argc, char** argv) {
  return zoo::serve_with_thread_per_connection(argc, argv, answer);
}
