#include "bench/load/options.h"

#include <CLI/CLI.hpp>
#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <map>

namespace evenkeel::load {
namespace {

constexpr char kDescription[] =
    "A load client for the memcached text protocol that checks every answer.\n"
    "Prints one JSON object. Exit status: 0 all right, 1 wrong answers, 2 bad arguments, 3 the\n"
    "connection failed or the server stopped answering.";

void add_load_options(CLI::App& app, Options& options) {
  app.add_option("--connections,-c", options.connections)->check(CLI::Range(1, 4000));
  app.add_option("--requests,-n", options.requests, "over all connections");
  app.add_option("--pipeline", options.pipeline, "requests in flight on each connection")
      ->check(CLI::Range(1, 4096));
  app.add_option("--keys", options.keys, "of each connection; of all when shared or contended")
      ->check(CLI::Range(1, 10000000));
  app.add_option("--counters", options.counters, "keys that are only incremented")
      ->check(CLI::Range(1, 60000));
  app.add_option("--value-size", options.value_bytes, "bytes")->check(CLI::Range(1, 64 << 20));
  app.add_option("--write-fraction", options.write_fraction)->check(CLI::Range(0.0, 1.0));
  app.add_option("--delete-fraction", options.delete_fraction)->check(CLI::Range(0.0, 1.0));
  app.add_option("--incr-fraction", options.increment_fraction)->check(CLI::Range(0.0, 1.0));
  app.add_option("--get-keys", options.get_keys, "keys in one get")->check(CLI::Range(1, 100));
  app.add_option("--seed", options.seed);
}

void add_run_options(CLI::App& app, Options& options) {
  static const std::map<std::string, Preload> kPreloads{
      {"yes", Preload::kYes}, {"only", Preload::kOnly}, {"no", Preload::kNo}};
  app.add_option("--preload", options.preload,
                 "yes: set every key before the measured phase; only: and end there; no: an "
                 "earlier `only` with the same keys and sizes did it")
      ->transform(CLI::CheckedTransformer(kPreloads));
  app.add_flag("--sweep", options.sweep, "read every key once more after the measured phase");
  app.add_option("--timeout-s", options.timeout_s, "give up after so long without an answer");
  app.add_option("--cpu-pid", options.cpu_pid,
                 "measure the CPU time of this process and its descendants");
  app.add_option("--show-wrong", options.show_wrong, "how many wrong answers to print");
}

void finish(const CLI::App& app, Options& options) {
  if (app.count("--shared") != 0) options.mode = Mode::kShared;
  if (app.count("--contended") != 0) {
    options.mode = Mode::kContended;
    if (app.count("--connections") == 0) options.connections = 8;
    if (app.count("--pipeline") == 0) options.pipeline = 20;
    if (app.count("--value-size") == 0) options.value_bytes = 32;
  }
  if (options.keys == 0) options.keys = options.mode == Mode::kExclusive ? 1000 : 4;
  options.get_keys = std::min(options.get_keys, options.keys);
}

}  // namespace

Options parse_options(int argc, char** argv) {
  Options options;
  CLI::App app(kDescription);
  app.add_option("--host", options.host, "IPv4 address");
  app.add_option("--port,-p", options.port);
  bool is_shared = false;
  bool is_contended = false;
  auto* shared = app.add_flag("--shared", is_shared, "all connections use the same keys");
  app.add_flag("--contended", is_contended,
               "set, get, delete, append, add and flush_all on shared keys")
      ->excludes(shared);
  add_load_options(app, options);
  add_run_options(app, options);
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    std::exit(app.exit(error) == 0 ? 0 : 2);
  }
  finish(app, options);
  if (options.mode == Mode::kShared && options.value_bytes < 16) {
    std::fputs("evenkeel-load: shared values need at least 16 bytes\n", stderr);
    std::exit(2);
  }
  if (options.write_fraction + options.delete_fraction + options.increment_fraction > 1.0001) {
    std::fputs("evenkeel-load: the fractions add up to more than 1\n", stderr);
    std::exit(2);
  }
  return options;
}

}  // namespace evenkeel::load
