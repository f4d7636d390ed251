// A server whose clients can make it go wrong in every way that servers do. Line protocol, one
// thread per connection; `add` counts, the others are named after what they do. --handlers installs
// handlers of its own for faults, --detached creates threads detached instead of detaching them.
#include <arpa/inet.h>
#include <netinet/in.h>
#include <pthread.h>
#include <sys/socket.h>
#include <unistd.h>

#include <atomic>
#include <csetjmp>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <set>
#include <stdexcept>
#include <string>
#include <thread>

namespace {

pthread_mutex_t g_lock = PTHREAD_MUTEX_INITIALIZER;
long g_count = 0;
std::set<uintptr_t> g_stacks;  // pages on which threads have begun
volatile int g_zero = 0;
thread_local sigjmp_buf t_escape;
thread_local bool t_expects_fault = false;

long add() {
  pthread_mutex_lock(&g_lock);
  const long count = ++g_count;
  pthread_mutex_unlock(&g_lock);
  return count;
}

std::string count_stacks() {
  pthread_mutex_lock(&g_lock);
  const size_t count = g_stacks.size();
  pthread_mutex_unlock(&g_lock);
  return std::to_string(count);
}

// What crash reporters do: say something and leave. An expected fault is a null check by other
// means.
void on_fault(int number) {
  if (t_expects_fault) siglongjmp(t_escape, 1);
  static const char kLastWords[] = "faulty_server: dying of a fault\n";
  [[maybe_unused]] const ssize_t written = write(2, kLastWords, sizeof kLastWords - 1);
  _exit(100 + number);
}

// The compiler must not know where this points, or it warns of what is meant here.
template <typename T>
[[gnu::noipa]] T* pointer_to(uintptr_t address) {
  return reinterpret_cast<T*>(address);
}

[[gnu::noipa]] void smash_stack(size_t bytes) {
  char small[16];
  std::memset(pointer_to<char>(reinterpret_cast<uintptr_t>(small)), 0x55, bytes);
}

[[gnu::noipa]] int recurse(int depth, int end) {
  volatile char room[4096];
  room[depth % 4096] = 1;
  return depth == end ? 0 : recurse(depth + 1, end) + room[0];
}

std::string probe() {
  t_expects_fault = true;
  std::string answer = "no fault";
  if (sigsetjmp(t_escape, 1) == 0) {
    *static_cast<volatile int*>(nullptr) = 1;
  } else {
    answer = "caught";
  }
  t_expects_fault = false;
  return answer;
}

// Waits, without any call, for a thread that may have no processor of its own.
std::string spin_for_thread() {
  std::atomic<bool> done = false;
  std::thread other([&done] { done = true; });
  while (!done) {
  }
  other.join();
  return "done";
}

[[noreturn]] void spin_for_ever() {
  for (;;) asm volatile("pause");
}

// A computation of many seconds' work.
std::string compute(unsigned long steps) {
  unsigned long value = 1;
  for (unsigned long i = 0; i < steps; ++i) {
    value = value * 6364136223846793005UL + 1442695040888963407UL;
    asm volatile("" : "+r"(value));
  }
  return std::to_string(value % 1000);
}

[[gnu::noipa]] void complain() { throw std::runtime_error("nobody catches this"); }
void throw_through() noexcept { complain(); }

std::string obey(const std::string& line) {
  pthread_mutex_lock(&g_lock);  // whatever goes wrong has changed something first
  ++g_count;
  pthread_mutex_unlock(&g_lock);
  if (line == "segv") *static_cast<volatile int*>(nullptr) = 1;
  if (line == "jump") reinterpret_cast<void (*)()>(0x10)();
  if (line == "fpe") return std::to_string(7 / g_zero);
  if (line == "ill") __builtin_trap();
  if (line == "abort") std::abort();
  if (line == "throw") throw_through();
  if (line == "smash") smash_stack(256);
  if (line == "overflow") return std::to_string(recurse(0, -1));
  if (line == "locknull") pthread_mutex_lock(pointer_to<pthread_mutex_t>(0));
  if (line == "doublefree") {
    void* volatile block = std::malloc(64);
    std::free(block);
    std::free(block);
  }
  if (line == "wildfree") {
    long local = 0;
    void* volatile wild = &local;
    std::free(wild);
  }
  if (line == "spin") spin_for_ever();
  if (line == "raise") raise(SIGSEGV);
  pthread_mutex_lock(&g_lock);
  --g_count;
  pthread_mutex_unlock(&g_lock);
  if (line == "add") return std::to_string(add());
  if (line == "probe") return probe();
  if (line == "stacks") return count_stacks();
  if (line == "spinwait") return spin_for_thread();
  if (line.starts_with("compute ")) return compute(std::strtoul(line.c_str() + 8, nullptr, 10));
  return "what?";
}

void note_stack(const void* here) {
  constexpr uintptr_t kPageBytes = 4096;
  pthread_mutex_lock(&g_lock);
  g_stacks.insert(reinterpret_cast<uintptr_t>(here) / kPageBytes);
  pthread_mutex_unlock(&g_lock);
}

void* serve(void* argument) {
  note_stack(&argument);
  const int fd = static_cast<int>(reinterpret_cast<intptr_t>(argument));
  std::string input;
  char buffer[4096];
  for (ssize_t bytes; (bytes = read(fd, buffer, sizeof buffer)) > 0;) {
    input.append(buffer, static_cast<size_t>(bytes));
    for (size_t end; (end = input.find('\n')) != std::string::npos;) {
      const std::string answer = obey(input.substr(0, end)) + "\n";
      input.erase(0, end + 1);
      if (send(fd, answer.data(), answer.size(), MSG_NOSIGNAL) < 0) break;
    }
  }
  close(fd);
  return nullptr;
}

}  // namespace

int main(int argc, char** argv) {
  if (argc > 2 && std::strcmp(argv[2], "--handlers") == 0) {
    struct sigaction action {};
    action.sa_handler = on_fault;
    for (const int number : {SIGSEGV, SIGFPE, SIGABRT}) sigaction(number, &action, nullptr);
  }
  const bool detached = argc > 2 && std::strcmp(argv[2], "--detached") == 0;
  pthread_attr_t attributes;
  pthread_attr_init(&attributes);
  if (detached) pthread_attr_setdetachstate(&attributes, PTHREAD_CREATE_DETACHED);
  const int listener = socket(AF_INET, SOCK_STREAM, 0);
  const int on = 1;
  setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  address.sin_port = htons(static_cast<uint16_t>(argc > 1 ? std::atoi(argv[1]) : 0));
  if (bind(listener, reinterpret_cast<sockaddr*>(&address), sizeof address) != 0 ||
      listen(listener, 128) != 0) {
    std::perror("faulty_server");
    return 1;
  }
  for (;;) {
    const int fd = accept(listener, nullptr, nullptr);
    if (fd < 0) continue;
    pthread_t thread;
    pthread_create(&thread, &attributes, serve, reinterpret_cast<void*>(intptr_t{fd}));
    if (!detached) pthread_detach(thread);
  }
}
