// A small server whose threads get stuck, for the tests of deadlocks and lost wake-ups. One thread
// per connection; each line is a command and, but for `park`, has an answer.
//
//   ab, ba   add to both accounts, locking them in this order or the other: a lock-order deadlock
//   ask      a worker is asked, and the answer is waited for without another look: lost wake-up
//   join N   N threads are born, add to the accounts, and are joined
//   park     no answer until somebody says wake: what a long poll does
//   wake     answers everybody who is parked
//
// usage: stuck_server PORT
#include <arpa/inet.h>
#include <netinet/in.h>
#include <pthread.h>
#include <sys/socket.h>
#include <unistd.h>

#include <atomic>
#include <condition_variable>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

namespace {

// About 20 us: long enough for another thread to come between.
void dawdle() {
  for (volatile int i = 0; i < 20'000;) i = i + 1;
}

struct Account {
  pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
  long balance = 0;
};
Account account_a;
Account account_b;

std::string add_to_both(Account& first, Account& second) {
  pthread_mutex_lock(&first.lock);
  dawdle();
  pthread_mutex_lock(&second.lock);
  const long sum = ++first.balance + ++second.balance;
  pthread_mutex_unlock(&second.lock);
  pthread_mutex_unlock(&first.lock);
  return std::to_string(sum) + "\n";
}

struct Question {
  std::atomic<bool> answered = false;
  std::mutex lock;
  std::condition_variable answer;
};

struct Worker {
  std::mutex lock;
  std::condition_variable more;
  std::vector<Question*> questions;
};
Worker worker;

void answer_questions() {
  for (;;) {
    std::unique_lock guard(worker.lock);
    worker.more.wait(guard, [] { return !worker.questions.empty(); });
    Question* question = worker.questions.back();
    worker.questions.pop_back();
    guard.unlock();
    question->answered = true;
    question->answer.notify_one();  // perhaps nobody waits yet
  }
}

std::string ask() {
  static std::atomic<long> asked;
  auto* question = new Question;  // lives on: the worker may still look at it
  {
    const std::lock_guard guard(worker.lock);
    worker.questions.push_back(question);
    worker.more.notify_one();
  }
  if (!question->answered) {  // which can change before the wait begins
    dawdle();
    std::unique_lock guard(question->lock);
    question->answer.wait(guard);
  }
  return std::to_string(++asked) + "\n";
}

std::string join(int count) {
  static std::mutex lock;
  static long total;
  std::vector<std::thread> threads;
  for (int i = 0; i < count; ++i) {
    threads.emplace_back([] {
      const std::lock_guard guard(lock);
      ++total;
    });
  }
  for (std::thread& thread : threads) thread.join();
  return "joined\n";
}

std::mutex parked_lock;
std::condition_variable woken;
long wakes;

std::string park() {
  std::unique_lock guard(parked_lock);
  const long seen = wakes;
  woken.wait(guard, [seen] { return wakes != seen; });
  return "woken\n";
}

std::string wake() {
  const std::lock_guard guard(parked_lock);
  ++wakes;
  woken.notify_all();
  return "ok\n";
}

std::string obey(const std::string& line) {
  if (line == "ab") return add_to_both(account_a, account_b);
  if (line == "ba") return add_to_both(account_b, account_a);
  if (line == "ask") return ask();
  if (line.starts_with("join ")) return join(std::atoi(line.c_str() + 5));
  if (line == "park") return park();
  if (line == "wake") return wake();
  return "what?\n";
}

void serve(int fd) {
  std::string input;
  char buffer[512];
  ssize_t bytes = 0;
  while ((bytes = read(fd, buffer, sizeof buffer)) > 0) {
    input.append(buffer, static_cast<size_t>(bytes));
    for (size_t end = 0; (end = input.find('\n')) != std::string::npos;) {
      const std::string answer = obey(input.substr(0, end));
      input.erase(0, end + 1);
      if (write(fd, answer.data(), answer.size()) < 0) break;
    }
  }
  close(fd);
}

int listen_on(uint16_t port) {
  const int fd = socket(AF_INET, SOCK_STREAM, 0);
  const int on = 1;
  setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(port);
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  if (bind(fd, reinterpret_cast<sockaddr*>(&address), sizeof address) != 0 ||
      listen(fd, 128) != 0) {
    std::perror("stuck_server");
    std::exit(1);
  }
  return fd;
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 2) return 2;
  std::signal(SIGPIPE, SIG_IGN);
  const int listener = listen_on(static_cast<uint16_t>(std::atoi(argv[1])));
  std::thread(answer_questions).detach();
  for (;;) {
    const int fd = accept(listener, nullptr, nullptr);
    if (fd >= 0) std::thread(serve, fd).detach();
  }
}
