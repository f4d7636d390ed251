// kvstore: a small multithreaded store, written the way such servers are, with a bug of your
// choice.
#include <fcntl.h>
#include <unistd.h>

#include <csignal>
#include <cstdio>
#include <exception>

#include "examples/kvstore/options.h"
#include "examples/kvstore/server.h"

namespace {

int stop_pipe[2];

extern "C" void on_stop_signal(int) {
  const char byte = 1;
  if (write(stop_pipe[1], &byte, 1) < 0) {
    // Full: a stop is already on its way.
  }
}

void catch_signals() {
  if (pipe2(stop_pipe, O_CLOEXEC | O_NONBLOCK) < 0) throw std::runtime_error("no pipe");
  struct sigaction action {};
  action.sa_handler = on_stop_signal;
  sigaction(SIGTERM, &action, nullptr);
  sigaction(SIGINT, &action, nullptr);
}

}  // namespace

int main(int argc, char** argv) {
  const kvstore::Options options = kvstore::parse_options(argc, argv);
  try {
    catch_signals();
    kvstore::Server server(options);
    server.run(stop_pipe[0]);
  } catch (const std::exception& error) {
    std::fprintf(stderr, "kvstore: %s\n", error.what());
    return 1;
  }
  return 0;
}
