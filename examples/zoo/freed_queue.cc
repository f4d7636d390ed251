// Kind: order violation, use after free at shutdown of an object.
// Modelled on: pbzip2 0.9.4 (main waits for the output, deletes the queue, and a consumer that is
// about to look for more work takes its lock).
// Manifests: the consumer follows a null pointer: SIGSEGV.
#include <cstdlib>

#include "examples/zoo/support/server.h"

namespace {

constexpr size_t kBlockBytes = 2048;

struct Queue {
  pthread_mutex_t lock;
  pthread_cond_t filled;
  pthread_cond_t finished;
  unsigned long waiting;  // blocks that nobody has taken
  unsigned long unfinished;
  uint32_t sum;
};

Queue* volatile fifo;
pthread_mutex_t job_lock = PTHREAD_MUTEX_INITIALIZER;  // one job at a time

// Takes a block. False: there are none left in this job.
bool take(unsigned long& block) {
  pthread_mutex_lock(&fifo->lock);        // RACE 1
  const bool found = fifo->waiting != 0;  // RACE 1
  if (found) block = fifo->waiting--;     // RACE 1
  pthread_mutex_unlock(&fifo->lock);      // RACE 1
  return found;
}

void finish(uint32_t sum) {
  pthread_mutex_lock(&fifo->lock);                                    // RACE 1
  fifo->sum += sum;                                                   // RACE 1
  if (--fifo->unfinished == 0) pthread_cond_signal(&fifo->finished);  // RACE 1
  pthread_mutex_unlock(&fifo->lock);                                  // RACE 1
}

void* consume(void*) {
  auto* scratch = static_cast<unsigned char*>(std::calloc(1, kBlockBytes));
  unsigned long block = 0;
  while (take(block)) {
    scratch[0] = static_cast<unsigned char>(block);
    finish(zoo::checksum(scratch, kBlockBytes));
    for (size_t i = 0; i < kBlockBytes; ++i) static_cast<volatile unsigned char*>(scratch)[i] = 0;
  }
  std::free(scratch);
  return nullptr;
}

uint32_t pack(unsigned long blocks) {
  const zoo::Locked locked(job_lock);
  auto* queue = static_cast<Queue*>(std::calloc(1, sizeof(Queue)));
  pthread_mutex_init(&queue->lock, nullptr);
  pthread_cond_init(&queue->finished, nullptr);
  queue->waiting = queue->unfinished = blocks;
  fifo = queue;  // RACE 2
  zoo::start_thread(consume, nullptr);
  pthread_mutex_lock(&queue->lock);
  while (queue->unfinished != 0) pthread_cond_wait(&queue->finished, &queue->lock);
  const uint32_t sum = queue->sum;
  pthread_mutex_unlock(&queue->lock);
  fifo = nullptr;  // RACE 2
  std::free(queue);
  return sum;
}

// pack BLOCKS -> the checksums' sum, a function of their number
void answer(zoo::Connection&, const zoo::Request& request, std::string& reply) {
  if (!request.is("pack")) {
    reply += "ERROR";
    return;
  }
  reply += std::to_string(pack(request.number(1)));
}

}  // namespace

int main(int argc, char** argv) { return zoo::serve_with_worker_pool(argc, argv, answer); }
