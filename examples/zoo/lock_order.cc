// Kind: deadlock, locks taken in two orders.
// Modelled on: MySQL #56299 (an insert that rotates the binary log holds the log and wants the list
// of sessions; a statement that looks for sessions to kill holds the list and wants a log).
// Manifests: no answer, from any session, ever.
#include "examples/zoo/support/server.h"

namespace {

constexpr size_t kSessions = 64;

pthread_mutex_t log_lock = PTHREAD_MUTEX_INITIALIZER;
pthread_mutex_t sessions_lock = PTHREAD_MUTEX_INITIALIZER;
unsigned long logged;
uint32_t log_sum;
unsigned long reading[kSessions];  // per session, the place in the log

unsigned long oldest_read() {
  const zoo::Locked locked(sessions_lock);  // RACE 1
  unsigned long oldest = logged;
  for (const unsigned long place : reading) oldest = place < oldest ? place : oldest;
  return oldest;
}

unsigned long insert(unsigned long row) {
  const zoo::Locked locked(log_lock);
  log_sum += zoo::checksum(&row, sizeof row);
  ++logged;
  return logged - oldest_read();
}

void kill_session(size_t session) {
  const zoo::Locked locked(sessions_lock);
  reading[session] = 0;
  const zoo::Locked locked_log(log_lock);  // RACE 2
  log_sum += zoo::checksum(&session, sizeof session);
  ++logged;
}

// insert ROW -> OK; kill SESSION -> OK
void answer(zoo::Connection&, const zoo::Request& request, std::string& reply) {
  if (request.is("insert")) {
    insert(request.number(1));
    reply += "OK";
  } else if (request.is("kill")) {
    kill_session(request.number(1) % kSessions);
    reply += "OK";
  } else {
    reply += "ERROR";
  }
}

}  // namespace

int main(int argc, char** argv) {
  return zoo::serve_with_thread_per_connection(argc, argv, answer);
}
