#include <fmt/format.h>

#include <algorithm>
#include <set>

#include "bench/zoo/checks.h"

namespace evenkeel::zoo {
namespace {

constexpr size_t kBurst = 200;  // lines of one connection in one round

std::vector<Lines> everybody(const Load& load, const Lines& lines) {
  return std::vector<Lines>(load.connections(), lines);
}

uint64_t number_of(const std::string& answer) {
  uint64_t value = 0;
  for (const char c : answer) {
    if (c < '0' || c > '9') return 0;
    value = value * 10 + static_cast<uint64_t>(c - '0');
  }
  return value;
}

// Each increment has an answer of its own, and together they leave no gap.
void check_numbering(Load& load, const std::string& request) {
  uint64_t before = 0;
  while (load.next_round()) {
    std::set<uint64_t> numbers;
    uint64_t sent = 0;
    for (const Lines& answers : load.exchange(everybody(load, Lines(kBurst, request)))) {
      for (const std::string& answer : answers) numbers.insert(number_of(answer));
      sent += answers.size();
    }
    const auto fresh = numbers.upper_bound(before);
    const auto beyond = numbers.upper_bound(before + sent);
    const auto right = static_cast<uint64_t>(std::distance(fresh, beyond));
    load.wrong(fmt::format("{}: {} answers, {} different", request, sent, right), sent - right);
    before = std::max(before, *numbers.rbegin());
  }
}

}  // namespace

void check_split_lock(Load& load) { check_numbering(load, "incr 0"); }
void check_lost_update(Load& load) { check_numbering(load, "deposit 0 1"); }

void check_lazy_room(Load& load) {
  Lines lines;
  for (size_t i = 0; i < kBurst; ++i) lines.push_back(fmt::format("visit {}", i));
  while (load.next_round()) {
    const std::vector<Lines> answers = load.exchange(everybody(load, lines));
    for (size_t i = 0; i < lines.size(); ++i) {
      std::set<std::string> visits;
      for (const Lines& each : answers) visits.insert(each[i]);
      load.wrong(
          fmt::format("{}: {} visits have {} numbers", lines[i], answers.size(), visits.size()),
          answers.size() - visits.size());
    }
    load.ask(0, {"close"});
  }
}

void check_then_add(Load& load) {
  while (load.next_round()) {
    Lines lines;
    for (size_t i = 0; i < kBurst; ++i) {
      lines.push_back(fmt::format("add {}", load.round() * kBurst + i));
    }
    const std::vector<Lines> answers = load.exchange(everybody(load, lines));
    for (size_t i = 0; i < lines.size(); ++i) {
      const auto stored = std::count_if(answers.begin(), answers.end(),
                                        [&](const Lines& each) { return each[i] == "STORED"; });
      load.wrong(fmt::format("{}: stored {} times", lines[i], stored),
                 static_cast<uint64_t>(std::abs(stored - 1)));
    }
  }
}

void check_closed_log(Load& load) {
  uint64_t rows = 0;
  uint64_t missing = 0;  // in the log, so far
  while (load.next_round()) {
    std::vector<Lines> lines = everybody(load, Lines(kBurst, "insert 7"));
    lines[0] = Lines(kBurst / 2, "rotate");
    load.exchange(lines);
    rows += kBurst * (load.connections() - 1);
    const std::string counts = load.ask(0, {"count"})[0];
    const size_t space = counts.find(' ');
    const uint64_t logged = space == std::string::npos ? 0 : number_of(counts.substr(space + 1));
    const uint64_t now_missing = rows - std::min(rows, logged);
    if (now_missing > missing) {
      load.wrong(fmt::format("count: {}, after {} inserts", counts, rows), now_missing - missing);
    }
    missing = now_missing;
  }
}

// The counters may be low; the answers may not be wrong.
void check_racy_statistics(Load& load) {
  const Lines lines{"sum 1", "sum 2", "sum 3", "sum 4"};
  const Lines right = load.ask(0, lines);
  uint64_t sent = lines.size();
  while (load.next_round()) {
    Lines burst;
    for (size_t i = 0; i < kBurst; ++i) burst.push_back(lines[i % lines.size()]);
    for (const Lines& answers : load.exchange(everybody(load, burst))) {
      for (size_t i = 0; i < burst.size(); ++i) {
        load.expect(burst[i], answers[i], right[i % right.size()]);
      }
      sent += burst.size();
    }
    if (number_of(load.ask(0, {"status"})[0]) != sent) load.strike();
  }
}

}  // namespace evenkeel::zoo
