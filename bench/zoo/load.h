#pragma once
// One run's load on one server, and what its clients saw.
// Threads: one. Memory: the answers of one exchange. Errors: Outage, from the clients.
#include <cstdint>
#include <string>
#include <vector>

#include "bench/zoo/clients.h"

namespace evenkeel::zoo {

struct Seen {
  uint64_t requests = 0;
  uint64_t wrong = 0;   // answers that no serial execution gives
  bool struck = false;  // the race left a mark that is no wrong answer: benign patterns
  bool outage = false;
  std::string why;  // of the first wrong answer or outage

  [[nodiscard]] bool reached_client() const { return wrong != 0 || outage; }
  [[nodiscard]] bool manifested() const { return reached_client() || struck; }
};

struct Limits {
  Milliseconds deadline;  // for an answer
  Milliseconds duration;  // then no new round is begun
  uint64_t rounds;        // and at most so many
  bool until_first_seen;  // stop when the bug has shown itself
};

class Load {
 public:
  // What was seen is in `seen` even when an exception ends the check.
  Load(uint16_t port, size_t connections, const Limits& limits, Seen& seen);

  [[nodiscard]] size_t connections() const { return clients_.count(); }
  // Before each round; counts them from 0.
  bool next_round();
  [[nodiscard]] uint64_t round() const { return round_; }

  std::vector<Lines> exchange(const std::vector<Lines>& lines);
  Lines ask(size_t connection, const Lines& lines);

  void wrong(const std::string& what, uint64_t times = 1);
  // Wrong unless they are equal.
  void expect(const std::string& request, const std::string& answer, const std::string& right);
  void strike() { seen_.struck = true; }

 private:
  Limits limits_;
  Clock::time_point end_;
  Clients clients_;
  Seen& seen_;
  uint64_t round_ = 0;
  uint64_t begun_ = 0;
};

// Fit for a line of text and for JSON, whatever a damaged answer holds.
std::string printable(std::string text);

// A check drives a load's rounds and judges the answers.
using Check = void (*)(Load&);

}  // namespace evenkeel::zoo
