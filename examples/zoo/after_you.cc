// Kind: livelock by back-off.
// Modelled on: "After you"-"After you" blocking (Dijkstra, "Solution of a problem in concurrent
// programming control", 1965): who finds somebody else claiming withdraws his claim and tries
// again. Manifests: claims are counted without a lock; one withdrawal is lost, and from then on
// everybody waits politely for somebody who is not there, at full speed.
#include <cstring>

#include "examples/zoo/support/server.h"

namespace {

constexpr size_t kPauseBytes = 64;
constexpr size_t kRowColumns = 8;

volatile int claims;  // threads that want the journal, or have it
unsigned long journal_rows;
unsigned long last_row[kRowColumns];
uint32_t journal_sum;

void back_off() {
  char pause[kPauseBytes] = {};
  volatile uint32_t sum = zoo::checksum(pause, sizeof pause);
  (void)sum;
}

void enter() {
  while (true) {
    claims = claims + 1;  // RACE 1
    if (claims == 1) return;
    claims = claims - 1;  // RACE 2
    back_off();
  }
}

void leave() { claims = claims - 1; }  // RACE 2

void append(unsigned long row) {
  enter();
  ++journal_rows;
  for (unsigned long& column : last_row) column = row;
  journal_sum += zoo::checksum(last_row, sizeof last_row);
  leave();
}

// append ROW -> OK
void answer(zoo::Connection&, const zoo::Request& request, std::string& reply) {
  if (!request.is("append")) {
    reply += "ERROR";
    return;
  }
  append(request.number(1));
  reply += "OK";
}

}  // namespace

int main(int argc, char** argv) {
  return zoo::serve_with_thread_per_connection(argc, argv, answer);
}
