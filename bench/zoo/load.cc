#include "bench/zoo/load.h"

#include <fmt/format.h>

namespace evenkeel::zoo {
namespace {

constexpr size_t kMaxText = 160;

}  // namespace

std::string printable(std::string text) {
  if (text.size() > kMaxText) text.replace(kMaxText, std::string::npos, "...");
  for (char& c : text) {
    if (c < ' ' || c > '~') c = c == '\n' ? ' ' : '?';
  }
  return text;
}

Load::Load(uint16_t port, size_t connections, const Limits& limits, Seen& seen)
    : limits_(limits),
      end_(Clock::now() + limits.duration),
      clients_(port, connections, limits.deadline),
      seen_(seen) {}

bool Load::next_round() {
  if (begun_ == limits_.rounds || Clock::now() >= end_) return false;
  if (limits_.until_first_seen && seen_.manifested()) return false;
  round_ = begun_++;
  return true;
}

std::vector<Lines> Load::exchange(const std::vector<Lines>& lines) {
  for (const Lines& each : lines) seen_.requests += each.size();
  return clients_.exchange(lines);
}

Lines Load::ask(size_t connection, const Lines& lines) {
  seen_.requests += lines.size();
  return clients_.ask(connection, lines);
}

void Load::wrong(const std::string& what, uint64_t times) {
  if (times == 0) return;
  if (seen_.wrong == 0) seen_.why = printable(what);
  seen_.wrong += times;
}

void Load::expect(const std::string& request, const std::string& answer, const std::string& right) {
  if (answer != right) wrong(fmt::format("{}: '{}', not '{}'", request, answer, right));
}

}  // namespace evenkeel::zoo
