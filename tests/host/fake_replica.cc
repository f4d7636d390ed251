// A server and its runtime in one, for tests of the coordinator: echoes what clients send. A read
// that begins with '!' is an order; see Server::order().
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <csignal>
#include <cstdlib>
#include <cstring>
#include <string>
#include <string_view>

#include "tests/host/fake_runtime.h"

namespace evenkeel::fake {
namespace {

struct Options {
  uint16_t port = 0;
  bool daemonise = false;
  bool diverge_at_start = false;
  bool crash_at_start = false;
  int exit_at_start = -1;
};

class Server : public Runtime {
 public:
  explicit Server(const Options& options) : options_(options) {}

 private:
  [[nodiscard]] wire::BindArguments loopback(uint16_t port) const {
    wire::BindArguments arguments{};
    arguments.domain = AF_INET;
    arguments.type = SOCK_STREAM;
    arguments.option_count = 1;
    const int on = 1;
    arguments.options[0] = {SOL_SOCKET, SO_REUSEADDR, sizeof on, {}};
    std::memcpy(arguments.options[0].value, &on, sizeof on);
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_port = htons(port);
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    arguments.address.bytes = sizeof address;
    std::memcpy(arguments.address.data, &address, sizeof address);
    return arguments;
  }

  void start_up() override {
    if (options_.exit_at_start >= 0) {
      print(2, "fake: not today\n");
      throw Quit{options_.exit_at_start, 0};
    }
    if (options_.crash_at_start) throw Fault{SIGSEGV};
    if (options_.daemonise && deck_.boot.daemonised == 0) throw wire::Status::kDaemonise;
    if (options_.diverge_at_start && !sequential()) state_.heap[1] = index_;
    const wire::Channel socket = wire::kVirtualSocketBase + state_.sockets++;
    const wire::BindArguments arguments = loopback(options_.port);
    const wire::ExternalCall& bound =
        ask(wire::ExternalOp::kBind, socket, 0, &arguments, sizeof arguments);
    if (bound.result < 0) {
      print(2, "fake: bind: " + std::string(::strerror(static_cast<int>(-bound.result))) + "\n");
      throw Quit{71, 0};
    }
    sockaddr_in address{};
    wire::SocketAddress out;
    std::memcpy(&out, bound.out, sizeof out);
    std::memcpy(&address, out.data, sizeof address);
    const auto port = static_cast<unsigned>(ntohs(address.sin_port));
    const wire::ExternalCall& listening = ask(wire::ExternalOp::kListen, socket, 128, nullptr, 0);
    if (listening.result < 1) throw Quit{72, 0};
    state_.listener = static_cast<uint32_t>(listening.result);
    print(1, "listening " + std::to_string(port) + "\n");
    image_ = State{};
  }

  void run_command() override {
    run_timers();
    for (Connection& connection : state_.connections) continue_writing(connection);
    const uint32_t end = deck_.command.first_input + deck_.command.input_count;
    for (uint32_t i = deck_.command.first_input; i < end; ++i) take(deck_.inputs[i]);
  }

  Connection* find(wire::Channel channel) {
    for (Connection& connection : state_.connections) {
      if (connection.channel == channel) return &connection;
    }
    return nullptr;
  }

  void take(const wire::Input& input) {
    if (input.kind == wire::InputKind::kSignal) return on_signal(static_cast<int>(input.value));
    if (input.kind == wire::InputKind::kOpened) {
      Connection* fresh = find(0);
      if (fresh != nullptr) *fresh = {input.channel, 0, 0, 0, 0, 0};
      return;
    }
    Connection* connection = find(input.channel);
    if (connection == nullptr) return;
    switch (input.kind) {
      case wire::InputKind::kData: {
        const auto* bytes = reinterpret_cast<const char*>(deck_.input_bytes + input.offset);
        return on_data(*connection, {bytes, input.bytes});
      }
      case wire::InputKind::kEof:
        connection->peer_finished = 1;
        if (connection->pending == 0) close(*connection);
        return;
      case wire::InputKind::kReset:
        return close(*connection);
      case wire::InputKind::kBacklog:
        connection->backlog = static_cast<uint64_t>(input.value);
        return continue_writing(*connection);
      case wire::InputKind::kConnected:
        return reply(connection->origin, "connected " + std::to_string(input.value) + "\n");
      default:
        return;
    }
  }

  void close(Connection& connection) {
    output(wire::OutputKind::kClose, connection.channel);
    connection = Connection{};
  }

  void on_signal(int signal) {
    if (signal == SIGTERM) throw Quit{0, 0};
    if (signal == SIGHUP) throw Quit{0, SIGHUP};
    if (signal == SIGINT) return;  // ignores it, for tests of impatience
    for (const Connection& connection : state_.connections) {
      if (connection.channel == 0) continue;
      reply(connection.channel, "signal " + std::to_string(signal) + "\n");
    }
  }

  void on_data(Connection& connection, std::string_view text) {
    ++state_.inputs;
    state_.heap[0] += text.size();
    if (connection.origin != 0) return reply(connection.origin, text);
    if (text.starts_with('!')) return order(connection, text.substr(1));
    reply(connection.channel, text);
  }

  // ------------------------------------------------------------ orders

  void order(Connection& connection, std::string_view text) {
    while (!text.empty() && text.back() == '\n') text.remove_suffix(1);
    const size_t space = text.find(' ');
    const std::string name(text.substr(0, space));
    const std::string word(space == std::string_view::npos ? "" : text.substr(space + 1));
    const auto number = static_cast<uint64_t>(std::atoll(word.c_str()));
    if (trouble(name, number)) return reply(connection.channel, "ok\n");
    if (name == "count") {
      state_.global[0] = ++state_.count;
      return reply(connection.channel, std::to_string(state_.count) + "\n");
    }
    if (name == "print") return print(1, word + "\n");
    if (name == "close") return close(connection);
    if (name == "abort") {
      output(wire::OutputKind::kAbort, connection.channel);
      connection = Connection{};
      return;
    }
    if (name == "shutdown") return output(wire::OutputKind::kShutdownWrite, connection.channel);
    if (name == "unlisten") {
      output(wire::OutputKind::kUnlisten, state_.listener);
      return reply(connection.channel, "ok\n");
    }
    if (name == "big") {
      connection.pending += number;
      return continue_writing(connection);
    }
    if (name == "timer") return set_timer(TimerAction::kTick, connection.channel, number);
    if (name == "pause") {
      output(wire::OutputKind::kPauseInput, connection.channel);
      return set_timer(TimerAction::kResume, connection.channel, number);
    }
    if (name == "connect") return connect(connection.channel, static_cast<uint16_t>(number));
    if (name == "forward") return forward(connection.channel, word);
    reply(connection.channel, "what?\n");
  }

  // Orders that make replicas differ, fail or end.
  bool trouble(const std::string& name, uint64_t number) {
    const bool me = number == index_;
    if (name == "diverge" && !sequential() && !primary()) state_.heap[2] = 0x29 + index_;
    if (name == "diverge-global" && !sequential() && !primary()) state_.global[3] = 7;
    if (name == "diverge-output" && !sequential() && !primary()) print(1, "never seen\n");
    if (name == "leak" && !primary()) state_.heap[4] = 1 + index_;
    if (name == "stop-early" && !sequential() && !primary()) throw wire::Status::kDiverged;
    if (name == "crash") throw Fault{SIGSEGV};
    if (name == "race-crash" && !sequential() && me) throw Fault{SIGSEGV};
    if (name == "die" && me) ::raise(SIGKILL);
    if (name == "die-all") ::raise(SIGKILL);
    if (name == "die-next" && me) die_next_ = true;
    if (name == "bad-joins") state_.bad_joins = number;
    if (name == "hang" && me) ::pause();
    if (name == "exit") throw Quit{static_cast<int>(number), 0};
    if (name == "unhandled") me_.unhandled_syscalls[number].fetch_add(1);
    return name.starts_with("diverge") || name == "leak" || name == "stop-early" ||
           name == "race-crash" || name == "die" || name == "die-next" || name == "hang" ||
           name == "unhandled" || name == "bad-joins";
  }

  // A window closed by our own output opens with the next batch; one closed by the client, later.
  void continue_writing(Connection& connection) {
    if (connection.pending == 0) return;
    const uint64_t room =
        wire::kSendWindowBytes - std::min<uint64_t>(connection.backlog, wire::kSendWindowBytes);
    const uint64_t bytes = std::min(connection.pending, room);
    if (bytes != 0) reply(connection.channel, std::string(bytes, 'x'));
    connection.pending -= bytes;
    choked_ = choked_ || (connection.pending != 0 && bytes != 0);
    if (connection.pending == 0 && connection.peer_finished != 0) close(connection);
  }

  void set_timer(TimerAction action, wire::Channel channel, uint64_t ms) {
    for (Timer& timer : state_.timers) {
      if (timer.action != TimerAction::kNone) continue;
      timer = {deck_.command.monotonic_ns + ms * 1'000'000, channel, action, 0};
      return;
    }
  }

  void run_timers() {
    for (Timer& timer : state_.timers) {
      if (timer.action == TimerAction::kNone) continue;
      if (timer.deadline_ns > deck_.command.monotonic_ns) continue;
      if (timer.action == TimerAction::kTick) reply(timer.channel, "tick\n");
      if (timer.action == TimerAction::kResume) {
        output(wire::OutputKind::kResumeInput, timer.channel);
        reply(timer.channel, "resumed\n");
      }
      timer = Timer{};
    }
  }

  void connect(wire::Channel origin, uint16_t port) {
    const wire::Channel socket = wire::kVirtualSocketBase + state_.sockets++;
    const wire::BindArguments arguments = loopback(port);
    const int64_t result =
        ask(wire::ExternalOp::kConnect, socket, 0, &arguments, sizeof arguments).result;
    if (result != 0 && result != -EINPROGRESS) {
      return reply(origin, "refused " + std::to_string(-result) + "\n");
    }
    Connection* fresh = find(0);
    if (fresh != nullptr) *fresh = {socket, origin, 0, 0, 0, 0};
    if (result == 0) reply(origin, "connected 0\n");
  }

  void forward(wire::Channel origin, const std::string& text) {
    for (const Connection& connection : state_.connections) {
      if (connection.origin == origin) reply(connection.channel, text + "\n");
    }
  }

  Options options_;
};

Options parse(int argc, char** argv) {
  Options options;
  for (int i = 1; i < argc; ++i) {
    const std::string_view word(argv[i]);
    const auto next = [&] { return i + 1 < argc ? std::atoi(argv[++i]) : 0; };
    if (word == "--port") options.port = static_cast<uint16_t>(next());
    if (word == "--daemonise") options.daemonise = true;
    if (word == "--diverge-at-start") options.diverge_at_start = true;
    if (word == "--crash-at-start") options.crash_at_start = true;
    if (word == "--exit-at-start") options.exit_at_start = next();
  }
  return options;
}

}  // namespace
}  // namespace evenkeel::fake

int main(int argc, char** argv) {
  using namespace evenkeel;
  const fake::Options options = fake::parse(argc, argv);
  fake::Server server(options);
  server.run();
}
