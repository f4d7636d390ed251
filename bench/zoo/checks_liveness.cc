#include <fmt/format.h>

#include "bench/zoo/checks.h"

namespace evenkeel::zoo {
namespace {

// Everybody sends the same lines, whose answers are those that one connection alone got.
void check_functions(Load& load, const Lines& lines) {
  const Lines right = load.ask(0, lines);
  while (load.next_round()) {
    for (const Lines& answers : load.exchange(std::vector<Lines>(load.connections(), lines))) {
      for (size_t i = 0; i < lines.size(); ++i) load.expect(lines[i], answers[i], right[i]);
    }
  }
}

void expect_each(Load& load, const Lines& lines, const Lines& answers, const std::string& right) {
  for (size_t i = 0; i < lines.size(); ++i) load.expect(lines[i], answers[i], right);
}

}  // namespace

void check_early_thread(Load& load) { check_functions(load, {"open 300", "open 200"}); }
void check_freed_queue(Load& load) { check_functions(load, {"pack 3", "pack 4"}); }
void check_lost_wakeup(Load& load) { check_functions(load, {"run 5"}); }
void check_after_you(Load& load) { check_functions(load, Lines(200, "append 9")); }
void check_nested_monitor(Load& load) { check_functions(load, {"insert 1", "insert 2"}); }

// One connection resizes the cache, the others use it.
void check_early_size(Load& load) {
  while (load.next_round()) {
    std::vector<Lines> lines(load.connections(), Lines(200, "store 17"));
    lines[0] = Lines(20, "resize 256");
    const std::vector<Lines> answers = load.exchange(lines);
    expect_each(load, lines[0], answers[0], "OK");
    for (size_t i = 1; i < answers.size(); ++i) {
      for (const std::string& answer : answers[i]) {
        if (answer != "OFF") load.expect("store 17", answer, "STORED");
      }
    }
  }
}

// One connection looks at the sessions while the others work in theirs.
void check_proc_info(Load& load) {
  constexpr size_t kBurst = 200;
  const std::string right = load.ask(0, {"query 0 5"})[0];
  while (load.next_round()) {
    std::vector<Lines> lines(load.connections());
    lines[0] = Lines(kBurst, "show");
    for (size_t i = 1; i < lines.size(); ++i)
      lines[i] = Lines(kBurst, fmt::format("query {} 5", i));
    const std::vector<Lines> answers = load.exchange(lines);
    for (size_t i = 1; i < lines.size(); ++i) expect_each(load, lines[i], answers[i], right);
  }
}

// Half of them insert, the others kill.
void check_lock_order(Load& load) {
  constexpr size_t kBurst = 200;
  while (load.next_round()) {
    std::vector<Lines> lines(load.connections(), Lines(kBurst, "insert 3"));
    for (size_t i = 1; i < lines.size(); i += 2)
      lines[i] = Lines(kBurst, fmt::format("kill {}", i));
    const std::vector<Lines> answers = load.exchange(lines);
    for (size_t i = 0; i < lines.size(); ++i) expect_each(load, lines[i], answers[i], "OK");
  }
}

}  // namespace evenkeel::zoo
