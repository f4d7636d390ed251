#include "runtime/host/externals.h"

#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

#include "runtime/host/futex.h"

namespace evenkeel::host {
namespace {

constexpr uint32_t kMaxBindOptions = 16;  // wire::BindArguments::options

bool matches(const wire::ExternalCall& call, const std::vector<uint8_t>& in) {
  return std::equal(in.begin(), in.end(), call.in, call.in + call.in_bytes);
}

bool read_arguments(const wire::ExternalCall& call, wire::BindArguments& out) {
  if (call.in_bytes < sizeof out) return false;
  std::memcpy(&out, call.in, sizeof out);
  return out.address.bytes <= sizeof out.address.data;
}

// A new socket with the server's options on it; < 0: -errno.
int64_t make_socket(const wire::BindArguments& arguments, Fd& out) {
  out.reset(::socket(arguments.domain, arguments.type | SOCK_CLOEXEC | SOCK_NONBLOCK,
                     arguments.protocol));
  if (!out.valid()) return -errno;
  const uint32_t count = std::min(arguments.option_count, kMaxBindOptions);
  for (uint32_t i = 0; i < count; ++i) {
    const wire::BindArguments::Option& option = arguments.options[i];
    const auto bytes = std::min<socklen_t>(option.bytes, sizeof option.value);
    // The server was told the outcome when it set the option; here it is only applied.
    ::setsockopt(out.get(), option.level, option.name, option.value, bytes);
  }
  return 0;
}

void local_address(int fd, std::vector<uint8_t>& out) {
  wire::SocketAddress address{};
  socklen_t bytes = sizeof address.data;
  if (::getsockname(fd, reinterpret_cast<sockaddr*>(address.data), &bytes) == 0) {
    address.bytes = bytes;
  }
  const auto* raw = reinterpret_cast<const uint8_t*>(&address);
  out.assign(raw, raw + sizeof address);
}

const sockaddr* address_of(const wire::BindArguments& arguments) {
  return reinterpret_cast<const sockaddr*>(arguments.address.data);
}

}  // namespace

bool Externals::serve(wire::ExternalCall& call) {
  // acquire: pairs with the replica's release after it filled in the question.
  if (call.state.load(std::memory_order_acquire) != 1) return false;
  call.in_bytes = std::min(call.in_bytes, wire::kExternalBytes);
  const Answer& known = answer(call);
  call.result = known.result;
  call.out_bytes = static_cast<uint32_t>(known.out.size());
  std::copy(known.out.begin(), known.out.end(), call.out);
  call.state.store(2, std::memory_order_release);  // publishes result and out
  futex_wake_all(call.state);
  return true;
}

const Externals::Answer& Externals::answer(const wire::ExternalCall& call) {
  static const Answer kOtherQuestion{0, 0, false, wire::ExternalOp::kForget, 0, 0, {}, -ESTALE, {}};
  Answer* known = find(call);
  if (known == nullptr) {
    answers_.push_back(execute(call));
    return answers_.back();
  }
  const bool same = known->op == call.op && known->channel == call.channel &&
                    known->value == call.value && matches(call, known->in);
  if (!same) return kOtherQuestion;
  known->thread = call.thread;
  known->index = call.index;
  known->discarded = false;
  return *known;
}

Externals::Answer* Externals::find(const wire::ExternalCall& call) {
  for (Answer& known : answers_) {
    if (!known.discarded && known.thread == call.thread && known.index == call.index) return &known;
  }
  // A run that was rolled back may have asked the same at another time, or by another thread.
  for (Answer& known : answers_) {
    if (known.discarded && known.op == call.op && known.channel == call.channel &&
        known.value == call.value && matches(call, known.in)) {
      return &known;
    }
  }
  return nullptr;
}

Externals::Answer Externals::execute(const wire::ExternalCall& call) {
  Answer made{call.thread, call.index, false, call.op, call.channel, call.value, {}, 0, {}};
  made.in.assign(call.in, call.in + call.in_bytes);
  if (offline_) {
    made.result = call.op == wire::ExternalOp::kForget ? 0 : -ENETDOWN;
    return made;
  }
  switch (call.op) {
    case wire::ExternalOp::kBind:
      made.result = bind(call, made.out);
      break;
    case wire::ExternalOp::kListen:
      made.result = listen(call);
      break;
    case wire::ExternalOp::kConnect:
      made.result = connect(call, made.out);
      break;
    case wire::ExternalOp::kForget:
      sockets_.erase(call.channel);
      break;
    default:
      made.result = -ENOSYS;
  }
  return made;
}

int64_t Externals::bind(const wire::ExternalCall& call, std::vector<uint8_t>& out) {
  wire::BindArguments arguments;
  if (!read_arguments(call, arguments)) return -EINVAL;
  Fd socket;
  const int64_t made = make_socket(arguments, socket);
  if (made < 0) return made;
  if (::bind(socket.get(), address_of(arguments), arguments.address.bytes) != 0) return -errno;
  local_address(socket.get(), out);
  sockets_[call.channel] = std::move(socket);
  return 0;
}

int64_t Externals::listen(const wire::ExternalCall& call) {
  const auto listening = listeners_.find(call.channel);
  if (listening != listeners_.end()) {  // a second listen() changes the queue's length
    const int fd = network_.listener_fd(listening->second);
    return ::listen(fd, static_cast<int>(call.value)) == 0 ? int64_t{listening->second} : -errno;
  }
  const auto bound = sockets_.find(call.channel);
  if (bound == sockets_.end()) return -EDESTADDRREQ;
  if (::listen(bound->second.get(), static_cast<int>(call.value)) != 0) return -errno;
  const uint32_t id = network_.add_listener(std::move(bound->second));
  sockets_.erase(bound);
  listeners_[call.channel] = id;
  return id;
}

int64_t Externals::connect(const wire::ExternalCall& call, std::vector<uint8_t>& out) {
  wire::BindArguments arguments;
  if (!read_arguments(call, arguments)) return -EINVAL;
  Fd socket;
  const auto bound = sockets_.find(call.channel);
  if (bound != sockets_.end()) {
    socket = std::move(bound->second);
    sockets_.erase(bound);
  } else if (const int64_t made = make_socket(arguments, socket); made < 0) {
    return made;
  }
  const int fd = socket.get();
  const int failed = ::connect(fd, address_of(arguments), arguments.address.bytes);
  if (failed != 0 && errno != EINPROGRESS) return -errno;
  if (arguments.domain == AF_INET || arguments.domain == AF_INET6) {
    const int on = 1;
    ::setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
  }
  local_address(fd, out);
  if (!network_.add_outbound(std::move(socket), call.channel, failed == 0)) return -ENFILE;
  return failed == 0 ? 0 : -EINPROGRESS;
}

void Externals::undo(const Answer& answer) {
  if (answer.result < 0 && answer.result != -EINPROGRESS) return;
  if (answer.op == wire::ExternalOp::kBind) {
    sockets_.erase(answer.channel);
  } else if (answer.op == wire::ExternalOp::kListen) {
    network_.remove_listener(static_cast<uint32_t>(answer.result));
    listeners_.erase(answer.channel);
  } else if (answer.op == wire::ExternalOp::kConnect) {
    const uint32_t slot = connections_.slot_of(answer.channel);
    if (slot != UINT32_MAX) connections_.server_aborted(slot);
  }
}

void Externals::agree() {
  if (answers_.empty()) [[likely]]
    return;
  for (const Answer& old : answers_) {
    if (!old.discarded) continue;
    // Replicas choose the same ids again: the socket may by now be another's.
    const bool taken_over = std::any_of(answers_.begin(), answers_.end(), [&](const Answer& other) {
      return !other.discarded && other.channel == old.channel;
    });
    if (!taken_over) undo(old);
  }
  answers_.clear();
}

void Externals::discard() {
  for (Answer& answer : answers_) answer.discarded = true;
}

void Externals::reset() {
  for (const auto& [channel, id] : listeners_) network_.remove_listener(id);
  listeners_.clear();
  sockets_.clear();
  answers_.clear();
}

}  // namespace evenkeel::host
