#include "tests/faults/interceptor.h"

#include <linux/filter.h>
#include <linux/seccomp.h>
#include <poll.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <cstddef>
#include <cstring>
#include <fstream>
#include <future>
#include <set>
#include <sstream>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

#include "runtime/wire.h"

namespace evenkeel::test {
namespace {

constexpr uint32_t kPageMask = 0xfff;  // the loader maps whole pages: low bits are the file's
constexpr std::chrono::milliseconds kTick{50};

[[noreturn]] void fail(const char* what) {
  throw std::runtime_error(std::string(what) + ": " + std::strerror(errno));
}

// Appends: if what was loaded is `value`, the call is answered thus; else the next statement.
void answer_if(std::vector<sock_filter>& filter, uint32_t value, uint32_t answer) {
  filter.push_back(BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, value, 0, 1));
  filter.push_back(BPF_STMT(BPF_RET | BPF_K, answer));
}

// Only low halves are looked at: x86-64 is little endian, and all that is asked for is small.
void grant(std::vector<sock_filter>& filter, const Granted& call) {
  constexpr uint32_t kNumberAt = offsetof(seccomp_data, nr);
  filter.push_back(BPF_STMT(BPF_LD | BPF_W | BPF_ABS, kNumberAt));
  const auto number = static_cast<uint32_t>(call.number);
  if (call.argument < 0) return answer_if(filter, number, SECCOMP_RET_ALLOW);
  const auto argument_at = static_cast<uint32_t>(offsetof(seccomp_data, args)) +
                           static_cast<uint32_t>(call.argument) * 8;
  filter.push_back(BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, number, 0, 3));
  filter.push_back(BPF_STMT(BPF_LD | BPF_W | BPF_ABS, argument_at));
  answer_if(filter, call.operation, SECCOMP_RET_ALLOW);
}

// Calls from addresses that end like one of the library's `syscall` instructions are asked about.
std::vector<sock_filter> make_filter(const Library& library) {
  std::vector<sock_filter> filter;
  for (const Granted& call : granted()) grant(filter, call);
  constexpr uint32_t kAddressAt = offsetof(seccomp_data, instruction_pointer);
  filter.push_back(BPF_STMT(BPF_LD | BPF_W | BPF_ABS, kAddressAt));
  filter.push_back(BPF_STMT(BPF_ALU | BPF_AND | BPF_K, kPageMask));
  std::set<uint32_t> endings;
  for (const uint64_t offset : library.instructions()) {
    endings.insert(static_cast<uint32_t>(offset) & kPageMask);
  }
  for (const uint32_t ending : endings) answer_if(filter, ending, SECCOMP_RET_USER_NOTIF);
  filter.push_back(BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW));
  return filter;
}

// Empty if the process has ended. It may do so between open and read (ESRCH), for which a buffer
// iterator would throw.
std::string read_text(pid_t pid, const char* name) {
  std::ifstream file("/proc/" + std::to_string(pid) + "/" + name, std::ios::binary);
  std::ostringstream text;
  text << file.rdbuf();
  return text.str();
}

uint32_t replica_of(pid_t pid) {
  const std::string name = std::string(1, '\0') + wire::kEnvReplica + "=";
  const std::string text = read_text(pid, "environ");
  const size_t at = text.find(name);
  return at == std::string::npos ? kNoReplica
                                 : static_cast<uint32_t>(std::stoul(text.substr(at + name.size())));
}

// Of a thread that waits in a system call: "number six arguments sp pc". 0 if it does not any more:
// it was killed.
uint64_t stack_pointer_of(pid_t thread) {
  std::istringstream fields(read_text(thread, "syscall"));
  std::string field;
  for (int i = 0; i < 8; ++i) {
    if (!(fields >> field)) return 0;
  }
  return std::stoull(field, nullptr, 16);
}

void kill_descendants() {
  for (const pid_t pid : descendants(getpid())) kill(pid, SIGKILL);
}

void reap_orphans() {
  while (waitpid(-1, nullptr, WNOHANG) > 0) {
  }
}

}  // namespace

Interceptor::Interceptor(const Library& library, std::optional<Refused> refused)
    : library_(library), refused_(std::move(refused)) {
  // What outlives its parent comes to us, who wait for its end.
  if (prctl(PR_SET_CHILD_SUBREAPER, 1) != 0) fail("PR_SET_CHILD_SUBREAPER");
}

bool Interceptor::run(const std::function<void()>& body, std::chrono::milliseconds timeout) {
  std::promise<int> installed;
  std::atomic<bool> body_over = false;
  std::jthread thread([&] {  // joined last: what follows may throw
    try {
      installed.set_value(install_filter());
    } catch (...) {
      installed.set_exception(std::current_exception());
      return;
    }
    body();
    body_over.store(true);
  });
  const Fd listener(installed.get_future().get());
  const auto deadline = std::chrono::steady_clock::now() + timeout;
  bool in_time = true;
  pollfd entry{.fd = listener.get(), .events = POLLIN, .revents = 0};
  // Hung up once nobody is left whose calls the filter sees.
  while ((entry.revents & POLLHUP) == 0) {
    if (poll(&entry, 1, kTick.count()) < 0 && errno != EINTR) fail("poll");
    if ((entry.revents & POLLIN) != 0) serve(listener.get());
    if (std::chrono::steady_clock::now() > deadline) {
      in_time = false;
      kill_descendants();
    }
    if (body_over.load()) reap_orphans();
  }
  thread.join();
  reap_orphans();
  return in_time;
}

int Interceptor::install_filter() const {
  std::vector<sock_filter> filter = make_filter(library_);
  const sock_fprog program{.len = static_cast<unsigned short>(filter.size()),
                           .filter = filter.data()};
  if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0) fail("PR_SET_NO_NEW_PRIVS");
  // A thread that waits for an answer is not to be woken by signals: the call would begin again.
  constexpr unsigned kFlags =
      SECCOMP_FILTER_FLAG_NEW_LISTENER | SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV;
  const long fd = syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, kFlags, &program);
  if (fd < 0) fail("seccomp");
  return static_cast<int>(fd);
}

void Interceptor::serve(int listener) {
  seccomp_notif asked{};
  // ENOENT: killed meanwhile.
  if (ioctl(listener, SECCOMP_IOCTL_NOTIF_RECV, &asked) != 0) return;
  const auto thread = static_cast<pid_t>(asked.pid);
  const bool refuse = must_refuse(thread, asked.data);
  seccomp_notif_resp answer{};
  answer.id = asked.id;
  if (refuse) {
    answer.error = -plausible_error(refused_->kind.site.number, refused_->kind.site.operation);
    answer.val = 0;
  } else {
    answer.flags = SECCOMP_USER_NOTIF_FLAG_CONTINUE;
  }
  if (ioctl(listener, SECCOMP_IOCTL_NOTIF_SEND, &answer) != 0 && errno != ENOENT) fail("answer");
}

bool Interceptor::must_refuse(pid_t thread, const seccomp_data& call) {
  uint64_t arguments[6];
  std::memcpy(arguments, call.args, sizeof arguments);
  const uint64_t operation = operation_of(call.nr, arguments);
  const Origin& origin = origin_of(thread);
  if (origin.library == 0) return false;
  CallKind kind{origin.replica, phase_.load(), {}};
  kind.site = {call.instruction_pointer - origin.library, caller_of(thread, origin.library),
               call.nr, operation};
  for (const uint64_t known : library_.instructions()) {
    if (kind.site.instruction == known) return must_refuse(kind);
  }
  return false;
}

bool Interceptor::must_refuse(const CallKind& kind) {
  const uint32_t count = ++counts_[kind];
  if (!refused_) return false;
  const bool refuse = refused_->for_ever
                          ? kind.site == refused_->kind.site &&
                                kind.replica == refused_->kind.replica &&
                                (refusals_ != 0 || kind.phase == refused_->kind.phase)
                          : kind == refused_->kind && count == refused_->nth;
  refusals_ += refuse ? 1 : 0;
  return refuse;
}

const Interceptor::Origin& Interceptor::origin_of(pid_t thread) {
  Origin& origin = origins_[thread];
  if (origin.library == 0) {
    origin.library = library_.base_in(thread);
    origin.replica = replica_of(thread);
  }
  return origin;
}

// The first word on the stack that points behind a call in the library. Between it and the stack
// pointer the functions that make system calls keep a register or two.
uint64_t Interceptor::caller_of(pid_t thread, uint64_t library) const {
  uint64_t words[8] = {};
  const iovec local{words, sizeof words};
  const iovec remote{reinterpret_cast<void*>(stack_pointer_of(thread)), sizeof words};
  if (process_vm_readv(thread, &local, 1, &remote, 1, 0) < 0) return 0;
  for (const uint64_t word : words) {
    if (library_.follows_call(word - library)) return word - library;
  }
  return 0;
}

}  // namespace evenkeel::test
