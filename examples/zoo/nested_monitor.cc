// Kind: deadlock with a condition variable.
// Modelled on: the nested monitor call (Lister, "The problem of nested monitor calls", 1977): a
// thread waits for room, and keeps the outer lock that whoever makes room needs.
// Manifests: once the queue was full, no answer, ever.
#include "examples/zoo/support/server.h"

namespace {

constexpr size_t kQueue = 6;
constexpr size_t kTables = 64;

struct Table {
  unsigned long rows;
  uint32_t sum;
};

Table tables[kTables];
pthread_mutex_t tables_lock = PTHREAD_MUTEX_INITIALIZER;

struct Queue {
  unsigned long rows[kQueue];
  size_t first;
  size_t count;
};

Queue delayed;
pthread_mutex_t queue_lock = PTHREAD_MUTEX_INITIALIZER;
pthread_cond_t not_full = PTHREAD_COND_INITIALIZER;
pthread_cond_t not_empty = PTHREAD_COND_INITIALIZER;

// A delayed insert: the table is looked at now, and the row goes in later.
unsigned long insert_delayed(unsigned long row) {
  const zoo::Locked locked(tables_lock);
  const zoo::Locked locked_queue(queue_lock);
  while (delayed.count == kQueue) pthread_cond_wait(&not_full, &queue_lock);  // RACE 1
  delayed.rows[(delayed.first + delayed.count++) % kQueue] = row;
  pthread_cond_signal(&not_empty);
  return tables[row % kTables].rows;
}

void store(unsigned long row) {
  const zoo::Locked locked(tables_lock);  // RACE 2
  Table& table = tables[row % kTables];
  ++table.rows;
  table.sum += zoo::checksum(&row, sizeof row);
}

void* write_delayed(void*) {
  while (true) {
    unsigned long row = 0;
    pthread_mutex_lock(&queue_lock);
    while (delayed.count == 0) pthread_cond_wait(&not_empty, &queue_lock);
    row = delayed.rows[delayed.first];
    pthread_mutex_unlock(&queue_lock);
    store(row);  // it leaves the queue when it is safe
    pthread_mutex_lock(&queue_lock);
    delayed.first = (delayed.first + 1) % kQueue;
    --delayed.count;
    pthread_cond_signal(&not_full);
    pthread_mutex_unlock(&queue_lock);
  }
}

// insert ROW -> QUEUED
void answer(zoo::Connection&, const zoo::Request& request, std::string& reply) {
  if (!request.is("insert")) {
    reply += "ERROR";
    return;
  }
  insert_delayed(request.number(1));
  reply += "QUEUED";
}

}  // namespace

int main(int argc, char** argv) {
  zoo::start_thread(write_delayed, nullptr);
  return zoo::serve_with_worker_pool(argc, argv, answer);
}
