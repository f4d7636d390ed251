// Kind: atomicity violation, a state in between is seen.
// Modelled on: MySQL #791 (a rotation closes the binary log and opens the next one; an insert that
// finds it closed is not logged).
// Manifests: rows that are in the table are missing in the log.
#include "examples/zoo/support/server.h"

namespace {

enum LogState { kClosed, kOpen };

volatile LogState log_state = kOpen;
pthread_mutex_t log_lock = PTHREAD_MUTEX_INITIALIZER;
pthread_mutex_t table_lock = PTHREAD_MUTEX_INITIALIZER;
unsigned long rows;
unsigned long logged;
uint32_t log_sum;
char log_header[256];

void write_log(unsigned long row) {
  const zoo::Locked locked(log_lock);
  ++logged;
  log_sum += zoo::checksum(&row, sizeof row);
}

void insert(unsigned long row) {
  {
    const zoo::Locked locked(table_lock);
    ++rows;
  }
  if (log_state != kClosed) write_log(row);  // RACE 1
}

void rotate() {
  const zoo::Locked locked(log_lock);
  log_state = kClosed;  // RACE 2
  log_header[0] = static_cast<char>(log_sum);
  log_sum = zoo::checksum(log_header, sizeof log_header);
  log_state = kOpen;  // RACE 2
}

void print_counts(std::string& reply) {
  const zoo::Locked locked(table_lock);
  const zoo::Locked locked_log(log_lock);
  reply += std::to_string(rows) + " " + std::to_string(logged);
}

// insert ROW -> OK; rotate -> OK; count -> rows in the table, rows in the log
void answer(zoo::Connection&, const zoo::Request& request, std::string& reply) {
  if (request.is("insert")) {
    insert(request.number(1));
    reply += "OK";
  } else if (request.is("rotate")) {
    rotate();
    reply += "OK";
  } else if (request.is("count")) {
    print_counts(reply);
  } else {
    reply += "ERROR";
  }
}

}  // namespace

int main(int argc, char** argv) { return zoo::serve_with_worker_pool(argc, argv, answer); }
