// Kind: atomicity violation, check-then-use of a pointer.
// Modelled on: MySQL #3596 (`if (thd->proc_info) fputs(thd->proc_info)`, while that session sets it
// to null).
// Manifests: a null pointer is read: SIGSEGV.
#include <cstdio>

#include "examples/zoo/support/server.h"

namespace {

constexpr size_t kSessions = 16;

struct Session {
  const char* volatile proc_info;  // null: idle
  uint32_t result;
  unsigned long row[16];
};

Session sessions[kSessions];

uint32_t query(Session& session, unsigned long number) {
  session.proc_info = "sending data";
  for (unsigned long& column : session.row) column = number;
  session.result = zoo::checksum(session.row, sizeof session.row);
  session.proc_info = nullptr;  // RACE 2
  return session.result;
}

void print_sessions(std::string& reply) {
  char text[64];
  for (size_t i = 0; i < kSessions; ++i) {
    const Session& session = sessions[i];
    if (session.proc_info == nullptr) continue;  // RACE 1
    std::snprintf(text, sizeof text, "%zu,result=%u,", i, session.result);
    reply += text;
    reply += session.proc_info;  // RACE 1
    reply += ';';
  }
}

// query SESSION NUMBER -> its checksum; show -> the sessions that are busy
void answer(zoo::Connection&, const zoo::Request& request, std::string& reply) {
  if (request.is("query")) {
    reply += std::to_string(query(sessions[request.number(1) % kSessions], request.number(2)));
  } else if (request.is("show")) {
    print_sessions(reply);
  } else {
    reply += "ERROR";
  }
}

}  // namespace

int main(int argc, char** argv) {
  return zoo::serve_with_thread_per_connection(argc, argv, answer);
}
