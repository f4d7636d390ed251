// Kind: benign data race.
// Modelled on: MySQL's statistic_increment (counters of the server's status, which are incremented
// without a lock unless SAFE_STATISTICS is defined: they may be a little low).
// Manifests: counters are a little low, as documented; every answer is right.
#include "examples/zoo/support/server.h"

namespace {

struct Statistics {
  volatile unsigned long questions;
  volatile unsigned long bytes;
  volatile unsigned long slowest;
};

Statistics statistics;

void count(unsigned long bytes, uint32_t work) {
  statistics.questions = statistics.questions + 1;           // RACE 1, RACE 2
  statistics.bytes = statistics.bytes + bytes;               // RACE 1, RACE 2
  if (work > statistics.slowest) statistics.slowest = work;  // RACE 1, RACE 2
}

// sum NUMBER -> its checksum; status -> how many questions there were, about
void answer(zoo::Connection&, const zoo::Request& request, std::string& reply) {
  if (request.is("sum")) {
    const unsigned long number = request.number(1);
    const uint32_t sum = zoo::checksum(&number, sizeof number);
    count(reply.size(), sum);
    reply += std::to_string(sum);
  } else if (request.is("status")) {
    reply += std::to_string(statistics.questions);
  } else {
    reply += "ERROR";
  }
}

}  // namespace

int main(int argc, char** argv) { return zoo::serve_with_worker_pool(argc, argv, answer); }
