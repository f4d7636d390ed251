// A server and its runtime in one, for tests of the coordinator: attaches to the deck, obeys the
// protocol, echoes what clients send. A read that begins with '!' is an order; see Server::order().
#include <elf.h>
#include <link.h>
#include <linux/futex.h>
#include <netinet/in.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <climits>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <string>
#include <string_view>

#include "tests/host/fake_state.h"

// Stands for the server's globals; its name must appear in reports.
alignas(4096) uint64_t fake_shared_counter[512];

namespace evenkeel::fake {
namespace {

constexpr uint64_t kHeapPage = 0x1000'0000'0000;
constexpr uint64_t kObjectSequence = 5521;

struct Options {
  uint16_t port = 0;
  bool daemonise = false;
  bool diverge_at_start = false;
  bool crash_at_start = false;
  int exit_at_start = -1;
};

uint64_t hash(const void* data, size_t bytes, uint64_t seed) {
  const auto* at = static_cast<const uint8_t*>(data);
  uint64_t value = seed ^ 0xcbf29ce484222325;
  for (size_t i = 0; i < bytes; ++i) value = (value ^ at[i]) * 0x100000001b3;
  return value;
}

wire::Token token_of(const void* data, size_t bytes) {
  return {hash(data, bytes, 1), hash(data, bytes, 2)};
}

void futex_wait(std::atomic<uint32_t>& word, uint32_t expected) {
  ::syscall(SYS_futex, reinterpret_cast<uint32_t*>(&word), FUTEX_WAIT, expected, nullptr, nullptr,
            0);
}
void futex_wake(std::atomic<uint32_t>& word) {
  ::syscall(SYS_futex, reinterpret_cast<uint32_t*>(&word), FUTEX_WAKE, INT_MAX, nullptr, nullptr,
            0);
}

wire::Deck& attach_deck() {
  const char* fd = std::getenv(wire::kEnvDeckFd);
  if (fd == nullptr) std::exit(99);
  void* at = ::mmap(reinterpret_cast<void*>(wire::kDeckAddress), sizeof(wire::Deck),
                    PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED_NOREPLACE, std::atoi(fd), 0);
  if (at == MAP_FAILED) std::exit(98);
  return *static_cast<wire::Deck*>(at);
}

struct Quit {  // the server ends
  int status;
  int signal;
};
struct Fault {
  int signal;
};

class Server {
 public:
  Server(wire::Deck& deck, uint32_t index, const Options& options)
      : deck_(deck), me_(deck.replicas[index]), index_(index), options_(options) {
    ::ftruncate(deck_.boot.image_fd, sizeof(State)) == 0 ? void() : std::exit(97);
    void* image =
        ::mmap(nullptr, sizeof(State), PROT_READ | PROT_WRITE, MAP_SHARED, deck_.boot.image_fd, 0);
    shared_image_ = static_cast<State*>(image);
    name_regions();
    me_.pid = ::getpid();
    me_.attached.store(1, std::memory_order_release);
  }

  [[noreturn]] void run() {
    execute([this] { start_up(); });
    publish(1);
    for (uint32_t sequence = 1;;) {
      futex_wait(deck_.command_sequence, sequence);
      const uint32_t now = deck_.command_sequence.load(std::memory_order_acquire);
      if (now == sequence) continue;
      sequence = now;
      obey(sequence);
      publish(sequence);
    }
  }

 private:
  [[nodiscard]] bool primary() const { return deck_.command.primary == index_; }
  [[nodiscard]] bool sequential() const { return deck_.command.sequential != 0; }

  // ------------------------------------------------------------ the runtime's part

  void publish(uint32_t sequence) {
    me_.done_sequence.store(sequence);
    deck_.doorbell.fetch_add(1);
    bool last = true;
    for (uint32_t i = 0; i < wire::kMaxReplicas; ++i) {
      const bool lives = (deck_.live_mask.load() >> i & 1) != 0;
      last = last && (!lives || deck_.replicas[i].done_sequence.load() == sequence);
    }
    if (last && deck_.coordinator_sleeps.load() != 0) futex_wake(deck_.doorbell);
  }

  void obey(uint32_t sequence) {
    const uint32_t flags = deck_.command.flags;
    used_ = 0;
    if (die_next_) ::raise(SIGKILL);
    if ((flags & wire::kAdopt) != 0) adopt(sequence);
    if ((flags & wire::kCommit) != 0) image_ = state_;
    if ((flags & wire::kRollback) != 0) {
      state_ = image_;
      me_.counters[wire::kCountRollbacks].fetch_add(1);
    }
    if ((flags & wire::kDescribe) != 0) describe();
    if ((flags & wire::kDump) != 0) dump();
    if ((flags & wire::kExecute) != 0) {
      begin_in_order(sequence);
      execute([this] { run_command(); });
    }
    if ((flags & wire::kExit) != 0) leave();
  }

  // Followers begin after the primary, as with a recorded order.
  void begin_in_order(uint32_t sequence) {
    if (primary()) {
      deck_.log_sequence.store(sequence, std::memory_order_release);
      return futex_wake(deck_.log_sequence);
    }
    for (;;) {
      const uint32_t now = deck_.log_sequence.load(std::memory_order_acquire);
      if (now == sequence || deck_.primary_lost.load(std::memory_order_acquire) == sequence) return;
      futex_wait(deck_.log_sequence, now);
    }
  }

  void adopt(uint32_t sequence) {
    if (primary()) {
      *shared_image_ = state_;
    }
    begin_in_order(sequence);
    state_ = *shared_image_;
    image_ = state_;
  }

  void leave() {
    if (deck_.command.exit_signal != 0) {
      ::signal(deck_.command.exit_signal, SIG_DFL);
      ::raise(deck_.command.exit_signal);
    }
    ::_exit(deck_.command.exit_status);
  }

  template <typename Work>
  void execute(Work work) {
    wire::Result result{};
    result.status = wire::Status::kQuiescent;
    choked_ = false;
    try {
      work();
    } catch (const Quit& quit) {
      result.status = wire::Status::kExited;
      result.exit_status = quit.status;
      result.exit_signal = quit.signal;
    } catch (const Fault& fault) {
      result.status = wire::Status::kFault;
      result.fault_signal = fault.signal;
      result.fault_code = reinterpret_cast<uint64_t>(&token_of);
    } catch (const wire::Status& status) {
      result.status = status;
    }
    me_.counters[wire::kCountBatches].fetch_add(1);
    finish(result);
  }

  void finish(wire::Result& result) {
    result.choked = choked_ ? 1 : 0;
    result.output_bytes = used_;
    result.root =
        token_of(reinterpret_cast<uint8_t*>(&state_) + offsetof(State, heap), kComparedBytes);
    result.outputs = token_of(deck_.outputs[index_], used_);
    result.dirty_pages = changed(0) + changed(1);
    const uint64_t parts[] = {state_.token.low, result.root.low, result.outputs.low,
                              deck_.command.batch};
    state_.token = token_of(parts, sizeof parts);
    result.token = state_.token;
    if (deck_.command.forced_mismatch != 0 && !primary()) result.token.low ^= 1;
    result.next_deadline_ns = UINT64_MAX;
    for (const Timer& timer : state_.timers) {
      if (timer.action == TimerAction::kNone) continue;
      result.next_deadline_ns = std::min(result.next_deadline_ns, timer.deadline_ns);
    }
    me_.result = result;
  }

  // Page 0 is the heap's, page 1 the global's.
  [[nodiscard]] uint64_t address(uint32_t page) const {
    return page == 0 ? kHeapPage : reinterpret_cast<uint64_t>(fake_shared_counter);
  }
  [[nodiscard]] static const uint64_t* words(const State& state, uint32_t page) {
    return page == 0 ? state.heap : state.global;
  }
  [[nodiscard]] uint32_t changed(uint32_t page) const {
    return std::memcmp(words(state_, page), words(image_, page), 4096) != 0 ? 1 : 0;
  }

  void describe() {
    uint32_t count = 0;
    for (uint32_t page = 0; page < 2; ++page) {
      if (changed(page) == 0) continue;
      me_.report.leaves[count++] = {address(page), token_of(words(state_, page), 4096)};
    }
    me_.report.leaf_count = count;
  }

  void dump() {
    for (uint32_t i = 0; i < deck_.command.dump_count; ++i) {
      wire::PageDump& out = me_.report.dumps[i];
      out.page = deck_.dump_pages[i];
      const uint32_t page = out.page == kHeapPage ? 0 : 1;
      std::memcpy(out.bytes, words(state_, page), 4096);
      out.object_count = page == 0 ? 1 : 0;
      out.objects[0] = {kHeapPage, 96, 3, 0, kObjectSequence};
    }
  }

  void name_regions() {
    wire::Region& region = me_.regions[0];
    region = {};
    region.begin = address(1);
    region.end = region.begin + 4096;
    region.kind = wire::RegionKind::kHashed;
    if (::readlink("/proc/self/exe", region.name, sizeof region.name - 1) < 0) std::exit(96);
    ::dl_iterate_phdr(
        [](dl_phdr_info* info, size_t, void* out) {
          auto& found = *static_cast<wire::Region*>(out);
          for (int i = 0; i < info->dlpi_phnum; ++i) {
            const ElfW(Phdr)& segment = info->dlpi_phdr[i];
            const uint64_t offset = found.begin - info->dlpi_addr - segment.p_vaddr;
            if (segment.p_type == PT_LOAD && offset < segment.p_memsz) {
              found.file_offset = segment.p_offset + offset;
            }
          }
          return 1;  // the executable comes first
        },
        &region);
    me_.region_count.store(1);
  }

  wire::ExternalCall& ask(wire::ExternalOp op, wire::Channel channel, int64_t value, const void* in,
                          uint32_t bytes) {
    wire::ExternalCall& call = me_.external;
    call.op = op;
    call.thread = 1;
    call.index = state_.external_index++;
    call.channel = channel;
    call.value = value;
    call.in_bytes = bytes;
    std::memcpy(call.in, in, bytes);
    call.state.store(1, std::memory_order_release);
    deck_.doorbell.fetch_add(1);
    if (deck_.coordinator_sleeps.load() != 0) futex_wake(deck_.doorbell);
    while (call.state.load(std::memory_order_acquire) == 1) futex_wait(call.state, 1);
    call.state.store(0);
    return call;
  }

  // ------------------------------------------------------------ the server's part

  void output(wire::OutputKind kind, wire::Channel channel, std::string_view payload = {}) {
    const wire::OutputRecord record{kind, static_cast<uint32_t>(payload.size()), channel};
    uint8_t* at = deck_.outputs[index_] + used_;
    std::memcpy(at, &record, sizeof record);
    std::memcpy(at + sizeof record, payload.data(), payload.size());
    const size_t padded = (payload.size() + 7) & ~size_t{7};
    std::memset(at + sizeof record + payload.size(), 0, padded - payload.size());
    used_ += sizeof record + padded;
  }
  void reply(wire::Channel channel, std::string_view text) {
    output(wire::OutputKind::kData, channel, text);
  }
  void print(int fd, std::string_view text) {
    output(wire::OutputKind::kStdio, static_cast<wire::Channel>(fd), text);
  }

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

  void start_up() {
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

  void run_command() {
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
    if (name == "unlisten") return output(wire::OutputKind::kUnlisten, state_.listener);
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
    if (name == "die-next" && me) die_next_ = true;
    if (name == "hang" && me) ::pause();
    if (name == "exit") throw Quit{static_cast<int>(number), 0};
    if (name == "unhandled") me_.unhandled_syscalls[number].fetch_add(1);
    return name.starts_with("diverge") || name == "leak" || name == "stop-early" ||
           name == "race-crash" || name == "die" || name == "die-next" || name == "hang" ||
           name == "unhandled";
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

  wire::Deck& deck_;
  wire::Replica& me_;
  uint32_t index_;
  Options options_;
  State* shared_image_ = nullptr;
  State state_{};
  State image_{};
  uint64_t used_ = 0;
  bool choked_ = false;
  bool die_next_ = false;  // not rolled back
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
  const char* index = std::getenv(wire::kEnvReplica);
  if (index == nullptr) return 99;
  const fake::Options options = fake::parse(argc, argv);
  fake::Server server(fake::attach_deck(), static_cast<uint32_t>(std::atoi(index)), options);
  server.run();
}
