#include <fmt/format.h>

#include <set>
#include <sstream>

#include "bench/zoo/checks.h"

namespace evenkeel::zoo {
namespace {

void expect_all(Load& load, const std::vector<Lines>& lines, const std::vector<Lines>& right) {
  const std::vector<Lines> answers = load.exchange(lines);
  for (size_t i = 0; i < lines.size(); ++i) {
    for (size_t j = 0; j < lines[i].size(); ++j) {
      load.expect(lines[i][j], answers[i][j], right[i][j]);
    }
  }
}

std::multiset<std::string> entries(const std::string& log) {
  std::multiset<std::string> found;
  std::istringstream in(log);
  for (std::string entry; std::getline(in, entry, ';');) found.insert(entry);
  return found;
}

// What was written one after another is the pattern for what was written at once.
void check_entries(Load& load, const std::vector<Lines>& writes, const Lines& meanwhile,
                   const std::string& collect) {
  std::multiset<std::string> right;
  for (size_t i = 1; i < writes.size(); ++i) load.ask(i, writes[i]);
  right = entries(load.ask(0, {collect})[0]);
  while (load.next_round()) {
    std::vector<Lines> lines = writes;
    lines[0] = meanwhile;
    std::multiset<std::string> found;
    const std::vector<Lines> answers = load.exchange(lines);
    for (const std::string& answer : answers[0]) found.merge(entries(answer));
    found.merge(entries(load.ask(0, {collect})[0]));
    if (found == right) continue;
    std::multiset<std::string> lost = right;
    for (const std::string& entry : found) {
      if (const auto it = lost.find(entry); it != lost.end()) lost.erase(it);
    }
    load.wrong(
        fmt::format("{}: {} of {} entries are lost or damaged", collect, lost.size(), right.size()),
        std::max<uint64_t>(1, lost.size()));
  }
}

}  // namespace

// The first connection only sets, so that it flushes; the others read what they have just set.
void check_property_cache(Load& load) {
  constexpr size_t kPairs = 150;
  uint64_t value = 0;
  while (load.next_round()) {
    std::vector<Lines> lines(load.connections());
    std::vector<Lines> right(load.connections());
    for (size_t i = 0; i < lines.size(); ++i) {
      for (size_t j = 0; j < kPairs; ++j) {
        const size_t name = 1 + i;
        lines[i].push_back(fmt::format("set {} {}", name, ++value));
        right[i].emplace_back("OK");
        if (i == 0) continue;
        lines[i].push_back(fmt::format("get {}", name));
        right[i].push_back(std::to_string(value));
      }
    }
    expect_all(load, lines, right);
  }
}

void check_reference_count(Load& load) {
  constexpr size_t kBurst = 100;
  uint64_t version = 0;
  while (load.next_round()) {
    std::vector<Lines> lines(load.connections(), Lines(kBurst, "get"));
    for (std::string& line : lines[0]) line = fmt::format("put {}", ++version);
    const std::vector<Lines> answers = load.exchange(lines);
    for (size_t i = 1; i < answers.size(); ++i) {
      for (const std::string& answer : answers[i]) {
        const uint64_t got = std::strtoull(answer.c_str(), nullptr, 10);
        const auto letter = static_cast<char>('a' + got % 26);
        load.expect("get", answer, fmt::format("{} {}", got, std::string(32, letter)));
        if (got > version) load.wrong(fmt::format("get: version {} was never put", got));
      }
    }
  }
}

void check_aba_free_list(Load& load) {
  constexpr size_t kBurst = 150;
  constexpr size_t kLetters = 48;
  while (load.next_round()) {
    std::vector<Lines> lines(load.connections());
    std::vector<Lines> right(load.connections());
    for (size_t i = 0; i < lines.size(); ++i) {
      const auto letter = static_cast<char>('a' + i);
      for (size_t j = 0; j < kBurst; ++j) {
        const std::string name = fmt::format("page{}{}", load.round() * kBurst + j, letter);
        lines[i].push_back("page " + name);
        right[i].push_back(name + ' ' + std::string(kLetters, letter));
      }
    }
    expect_all(load, lines, right);
  }
}

void check_hash_resize(Load& load) {
  constexpr size_t kKeys = 400;
  while (load.next_round()) {
    load.ask(0, {"clear"});
    std::vector<Lines> lines(load.connections());
    std::vector<Lines> right(load.connections());
    for (size_t i = 0; i < lines.size(); ++i) {
      for (size_t j = 0; j < kKeys; ++j) {
        const size_t key = 1 + i + j * lines.size();
        const size_t earlier = 1 + i + j / 2 * lines.size();
        lines[i].push_back(fmt::format("set {} {}", key, key * 3));
        right[i].emplace_back("OK");
        lines[i].push_back(fmt::format("get {}", earlier));
        right[i].push_back(std::to_string(earlier * 3));
      }
    }
    expect_all(load, lines, right);
  }
}

void check_log_buffer(Load& load) {
  constexpr size_t kBurst = 100;
  std::vector<Lines> writes(load.connections());
  for (size_t i = 1; i < writes.size(); ++i) {
    for (size_t j = 0; j < kBurst; ++j) writes[i].push_back(fmt::format("hit client{} {}", i, j));
  }
  check_entries(load, writes, {}, "log");
}

void check_shared_outbox(Load& load) {
  constexpr size_t kBurst = 100;
  std::vector<Lines> writes(load.connections());
  for (size_t i = 1; i < writes.size(); ++i) {
    for (size_t j = 0; j < kBurst; ++j) {
      writes[i].push_back(fmt::format("tell 0 client{} {}", i, j));
    }
  }
  check_entries(load, writes, {"collect 0", "collect 0"}, "collect 0");
}

}  // namespace evenkeel::zoo
