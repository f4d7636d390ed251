// A program that calls every symbol that the library replaces and prints what came of it. Its
// output is the same in every run, so it can be compared between processes.
#include <malloc.h>
#include <netinet/in.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <semaphore.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

#include <cerrno>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <ctime>
#include <initializer_list>

namespace {

// Prints a result, and errno if the call failed as system calls do.
void say(const char* what, long result) {
  if (result == -1) {
    std::printf("%s -1 %s\n", what, std::strerror(errno));
  } else {
    std::printf("%s %ld\n", what, result);
  }
}
#define SAY(call) say(#call, static_cast<long>(call))

timespec past() { return {1, 0}; }

bool aligned_to(const void* pointer, uintptr_t bytes) {
  return pointer != nullptr && reinterpret_cast<uintptr_t>(pointer) % bytes == 0;
}

void use_heap() {
  auto* text = static_cast<char*>(std::malloc(10));
  std::strcpy(text, "keel");
  text = static_cast<char*>(std::realloc(text, 100000));
  std::printf("realloc keeps %s\n", text);
  SAY(malloc_usable_size(text) >= 100000);
  std::free(text);
  auto* zeros = static_cast<int*>(std::calloc(100, sizeof(int)));
  SAY(zeros[0] + zeros[99]);
  zeros = static_cast<int*>(reallocarray(zeros, 200, sizeof(int)));
  std::free(zeros);
  volatile size_t too_many = SIZE_MAX;  // volatile: the compiler knows better, and says so
  SAY(reallocarray(nullptr, too_many, 2) == nullptr);
  SAY(errno == ENOMEM);
  void* block = nullptr;
  SAY(posix_memalign(&block, 256, 10));
  SAY(aligned_to(block, 256));
  std::free(block);
  SAY(posix_memalign(&block, 3, 10));
  for (void* pointer : {std::aligned_alloc(64, 128), memalign(1024, 5), valloc(5), pvalloc(5)}) {
    SAY(aligned_to(pointer, 64));
    std::free(pointer);
  }
}

void use_mutex() {
  pthread_mutex_t mutex;
  pthread_mutexattr_t attributes;
  pthread_mutexattr_init(&attributes);
  pthread_mutexattr_settype(&attributes, PTHREAD_MUTEX_ERRORCHECK);
  const timespec deadline = past();
  SAY(pthread_mutex_init(&mutex, &attributes));
  SAY(pthread_mutex_lock(&mutex));
  SAY(pthread_mutex_lock(&mutex));
  SAY(pthread_mutex_trylock(&mutex));
  SAY(pthread_mutex_timedlock(&mutex, &deadline));
  SAY(pthread_mutex_clocklock(&mutex, CLOCK_MONOTONIC, &deadline));
  SAY(pthread_mutex_unlock(&mutex));
  SAY(pthread_mutex_unlock(&mutex));
  SAY(pthread_mutex_consistent(&mutex));
  SAY(pthread_mutex_destroy(&mutex));
}

void use_condition() {
  pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
  pthread_cond_t condition;
  const timespec deadline = past();
  SAY(pthread_cond_init(&condition, nullptr));
  pthread_mutex_lock(&mutex);
  SAY(pthread_cond_timedwait(&condition, &mutex, &deadline));
  SAY(pthread_cond_clockwait(&condition, &mutex, CLOCK_MONOTONIC, &deadline));
  pthread_mutex_unlock(&mutex);
  SAY(pthread_cond_signal(&condition));
  SAY(pthread_cond_broadcast(&condition));
  SAY(pthread_cond_destroy(&condition));
}

void use_rwlock() {
  pthread_rwlock_t lock;
  const timespec deadline = past();
  SAY(pthread_rwlock_init(&lock, nullptr));
  SAY(pthread_rwlock_rdlock(&lock));
  SAY(pthread_rwlock_tryrdlock(&lock));
  SAY(pthread_rwlock_timedrdlock(&lock, &deadline));
  SAY(pthread_rwlock_clockrdlock(&lock, CLOCK_MONOTONIC, &deadline));
  SAY(pthread_rwlock_trywrlock(&lock));
  SAY(pthread_rwlock_timedwrlock(&lock, &deadline));
  for (int i = 0; i < 4; ++i) SAY(pthread_rwlock_unlock(&lock));
  SAY(pthread_rwlock_wrlock(&lock));
  SAY(pthread_rwlock_tryrdlock(&lock));
  SAY(pthread_rwlock_clockwrlock(&lock, CLOCK_MONOTONIC, &deadline));
  SAY(pthread_rwlock_unlock(&lock));
  SAY(pthread_rwlock_destroy(&lock));
}

void use_others() {
  pthread_spinlock_t spin;
  SAY(pthread_spin_init(&spin, 0));
  SAY(pthread_spin_lock(&spin));
  SAY(pthread_spin_trylock(&spin));
  SAY(pthread_spin_unlock(&spin));
  SAY(pthread_spin_destroy(&spin));
  pthread_barrier_t barrier;
  SAY(pthread_barrier_init(&barrier, nullptr, 1));
  SAY(pthread_barrier_wait(&barrier) == PTHREAD_BARRIER_SERIAL_THREAD);
  SAY(pthread_barrier_destroy(&barrier));
  static pthread_once_t once = PTHREAD_ONCE_INIT;
  for (int i = 0; i < 2; ++i) SAY(pthread_once(&once, [] { std::puts("once"); }));
  sem_t semaphore;
  const timespec deadline = past();
  int value = 0;
  SAY(sem_init(&semaphore, 0, 1));
  SAY(sem_wait(&semaphore));
  SAY(sem_trywait(&semaphore));
  SAY(sem_timedwait(&semaphore, &deadline));
  SAY(sem_clockwait(&semaphore, CLOCK_MONOTONIC, &deadline));
  SAY(sem_post(&semaphore));
  SAY(sem_getvalue(&semaphore, &value) + value);
  SAY(sem_destroy(&semaphore));
}

// Two threads hand a number back and forth: waits that really wait.
struct Ping {
  pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
  pthread_cond_t changed = PTHREAD_COND_INITIALIZER;
  int turn = 0;
};
void* answer(void* argument) {
  auto& ping = *static_cast<Ping*>(argument);
  pthread_mutex_lock(&ping.mutex);
  while (ping.turn < 99) {
    while (ping.turn % 2 == 0) pthread_cond_wait(&ping.changed, &ping.mutex);
    ++ping.turn;
    pthread_cond_signal(&ping.changed);
  }
  pthread_mutex_unlock(&ping.mutex);
  return nullptr;
}
void use_threads() {
  Ping ping;
  pthread_t thread;
  SAY(pthread_create(&thread, nullptr, answer, &ping));
  pthread_mutex_lock(&ping.mutex);
  while (ping.turn < 99) {
    while (ping.turn % 2 == 1) pthread_cond_wait(&ping.changed, &ping.mutex);
    ++ping.turn;
    pthread_cond_signal(&ping.changed);
  }
  pthread_mutex_unlock(&ping.mutex);
  SAY(pthread_join(thread, nullptr));
  SAY(ping.turn);
  SAY(pthread_create(
      &thread, nullptr, [](void*) -> void* { return nullptr; }, nullptr));
  SAY(pthread_detach(thread));
}

void transfer(int from, int to) {
  char text[8] = {};
  iovec vector{text, sizeof text};
  msghdr message{};
  message.msg_iov = &vector;
  message.msg_iovlen = 1;
  SAY(write(from, "abc", 3));
  SAY(read(to, text, sizeof text));
  iovec out{text, 2};
  SAY(writev(from, &out, 1));
  SAY(readv(to, &vector, 1));
  SAY(send(from, "de", 2, MSG_NOSIGNAL));
  SAY(recv(to, text, sizeof text, 0));
  vector.iov_len = 5;
  SAY(sendmsg(from, &message, 0));
  SAY(recvmsg(to, &message, MSG_DONTWAIT));
  SAY(recv(to, text, sizeof text, MSG_DONTWAIT));
}

void use_descriptors() {
  int pair[2];
  SAY(socketpair(AF_UNIX, SOCK_STREAM, 0, pair));
  transfer(pair[0], pair[1]);
  const int set = epoll_create1(0);
  epoll_event event{EPOLLOUT, {}};
  SAY(epoll_ctl(set, EPOLL_CTL_ADD, pair[0], &event));
  SAY(epoll_wait(set, &event, 1, 0));
  pollfd entry{pair[1], POLLIN, 0};
  SAY(poll(&entry, 1, 0));
  SAY(shutdown(pair[0], SHUT_WR));
  SAY(poll(&entry, 1, 0));
  SAY(close(set) + close(pair[0]) + close(pair[1]));
  SAY(close(-1));
}

void use_sockets() {
  const int listener = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  socklen_t bytes = sizeof address;
  int on = 1;
  SAY(setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on));
  on = 0;
  bytes = sizeof on;
  SAY(getsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &on, &bytes) + on);
  SAY(bind(listener, reinterpret_cast<sockaddr*>(&address), sizeof address));
  SAY(listen(listener, 1));
  bytes = sizeof address;
  SAY(getsockname(listener, reinterpret_cast<sockaddr*>(&address), &bytes));
  SAY(getpeername(listener, reinterpret_cast<sockaddr*>(&address), &bytes));
  SAY(accept(listener, nullptr, nullptr));
  const int client = socket(AF_INET, SOCK_STREAM, 0);
  SAY(connect(client, reinterpret_cast<sockaddr*>(&address), sizeof address));
  const int accepted = accept4(listener, nullptr, nullptr, SOCK_CLOEXEC);
  SAY(accepted > listener);
  SAY(close(accepted) + close(client) + close(listener));
}

}  // namespace

int main(int argc, char** argv) {
  for (int i = 1; i < argc; ++i) std::printf("argument [%s]\n", argv[i]);
  use_heap();
  use_mutex();
  use_condition();
  use_rwlock();
  use_others();
  use_threads();
  use_descriptors();
  use_sockets();
  const timespec moment{0, 1};
  SAY(nanosleep(&moment, nullptr));
  SAY(sched_yield());
  const char* preload = std::getenv("LD_PRELOAD");
  std::printf("still preloaded: %s\n", preload != nullptr ? "yes" : "no");
}
