#pragma once
// The injected side of the protocol, as far as the coordinator can see it, for a server whose state
// is plain data: attaches to the deck, obeys commands, publishes results.
#include <string_view>

#include "runtime/wire.h"
#include "tests/host/fake_state.h"

namespace evenkeel::fake {

struct Quit {  // the server ends
  int status;
  int signal;
};
struct Fault {
  int signal;
};

class Runtime {
 public:
  Runtime();  // from the environment; exits with 9x when that is not a replica's
  virtual ~Runtime() = default;
  [[noreturn]] void run();

 protected:
  // The server's part. They may throw Quit, Fault or a wire::Status.
  virtual void start_up() = 0;
  virtual void run_command() = 0;

  [[nodiscard]] bool primary() const { return deck_.command.primary == index_; }
  [[nodiscard]] bool sequential() const { return deck_.command.sequential != 0; }
  wire::ExternalCall& ask(wire::ExternalOp op, wire::Channel channel, int64_t value, const void* in,
                          uint32_t bytes);
  void output(wire::OutputKind kind, wire::Channel channel, std::string_view payload = {});
  void reply(wire::Channel channel, std::string_view text) {
    output(wire::OutputKind::kData, channel, text);
  }
  void print(int fd, std::string_view text) {
    output(wire::OutputKind::kStdio, static_cast<wire::Channel>(fd), text);
  }

  wire::Deck& deck_;
  uint32_t index_;
  wire::Replica& me_;
  State state_{};
  State image_{};
  bool choked_ = false;
  bool die_next_ = false;  // at the next command; not rolled back

 private:
  void publish(uint32_t sequence);
  void obey(uint32_t sequence);
  void begin_in_order(uint32_t sequence);
  void adopt(uint32_t sequence);
  // A replacement waits to be admitted and takes the state; the number of that command.
  [[nodiscard]] uint32_t join();
  void leave();
  template <typename Work>
  void execute(Work work);
  void finish(wire::Result& result);
  [[nodiscard]] uint32_t changed(uint32_t page) const;
  void describe();
  void dump();
  void name_regions();

  State* shared_image_ = nullptr;
  uint64_t used_ = 0;
};

}  // namespace evenkeel::fake
