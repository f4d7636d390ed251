// Kind: lost wake-up.
// Modelled on: memcached #920 (the logger's condition is signalled without its lock, so that the
// signal can come between the logger's look at its queue and its wait).
// Manifests: a task lies in the queue while the thread that should do it sleeps: no answer.
#include <cstring>

#include "examples/zoo/support/server.h"

namespace {

constexpr size_t kScratchBytes = 1024;

struct Task {
  unsigned long number;
  uint32_t result;
  bool done;
  Task* next;
};

Task* tasks;
pthread_mutex_t tasks_lock = PTHREAD_MUTEX_INITIALIZER;
pthread_cond_t task_done = PTHREAD_COND_INITIALIZER;
pthread_mutex_t sleep_lock = PTHREAD_MUTEX_INITIALIZER;
pthread_cond_t task_there = PTHREAD_COND_INITIALIZER;
unsigned char scratch[kScratchBytes];
uint32_t idle_seal;  // of the scratch memory, wiped

Task* take() {
  const zoo::Locked locked(tasks_lock);
  Task* task = tasks;
  if (task != nullptr) tasks = task->next;
  return task;
}

void finish(Task& task, uint32_t result) {
  const zoo::Locked locked(tasks_lock);
  task.result = result;
  task.done = true;
  pthread_cond_broadcast(&task_done);
}

void* work(void*) {
  while (true) {
    while (Task* task = take()) {
      std::memset(scratch, static_cast<int>(task->number), kScratchBytes);
      finish(*task, zoo::checksum(scratch, kScratchBytes));
    }
    std::memset(scratch, 0, kScratchBytes);
    idle_seal = zoo::checksum(scratch, kScratchBytes);
    const zoo::Locked locked(sleep_lock);
    pthread_cond_wait(&task_there, &sleep_lock);  // RACE 1
  }
}

uint32_t run(unsigned long number) {
  Task task = {number, 0, false, nullptr};
  pthread_mutex_lock(&tasks_lock);
  task.next = tasks;
  tasks = &task;
  pthread_mutex_unlock(&tasks_lock);
  pthread_cond_signal(&task_there);  // RACE 2
  const zoo::Locked locked(tasks_lock);
  while (!task.done) pthread_cond_wait(&task_done, &tasks_lock);
  return task.result;
}

// run NUMBER -> a checksum, a function of it
void answer(zoo::Connection&, const zoo::Request& request, std::string& reply) {
  if (!request.is("run")) {
    reply += "ERROR";
    return;
  }
  reply += std::to_string(run(request.number(1)));
}

}  // namespace

int main(int argc, char** argv) {
  zoo::start_thread(work, nullptr);
  return zoo::serve_with_worker_pool(argc, argv, answer);
}
