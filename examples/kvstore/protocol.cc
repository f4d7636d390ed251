#include "examples/kvstore/protocol.h"

#include <evenkeel/annotate.h>

#include <algorithm>
#include <charconv>
#include <vector>

namespace kvstore {
namespace {

// Adds to one counter of a worker.
void count(Counters& counters, uint64_t Counters::*which) {
  pthread_mutex_lock(&counters.lock);
  ++(counters.*which);
  pthread_mutex_unlock(&counters.lock);
}

uint64_t total(Service& service, uint64_t Counters::*which) {
  uint64_t sum = 0;
  for (Counters& counters : service.counters) {
    pthread_mutex_lock(&counters.lock);
    sum += counters.*which;
    pthread_mutex_unlock(&counters.lock);
  }
  return sum;
}

template <typename T>
bool parse(std::string_view text, T& number) {
  const char* end = text.data() + text.size();
  const auto parsed = std::from_chars(text.data(), end, number);
  return parsed.ec == std::errc() && parsed.ptr == end;
}

bool good_key(std::string_view key) { return !key.empty() && key.size() <= kMaxKeyBytes; }

void stat(std::string& output, std::string_view name, std::string_view value) {
  output.append("STAT ").append(name).append(" ").append(value).append("\r\n");
}

void stat(std::string& output, std::string_view name, uint64_t value) {
  stat(output, name, std::to_string(value));
}

// What a request shares with others: the chain that its key is in, and the statistics. Then it
// waits until nobody who shares them runs.
void declare_read(Service& service, std::string_view key) {
  const size_t bucket = service.store.bucket_number(key);
  EVENKEEL_READS("bucket", &bucket, sizeof bucket);
}

void declare_write(Service& service, std::string_view key) {
  const size_t bucket = service.store.bucket_number(key);
  EVENKEEL_WRITES("bucket", &bucket, sizeof bucket);
}

void await_turn() {
  EVENKEEL_ADDS("statistics", "", 0);
  EVENKEEL_READY();
}

void answer_stats(Service& service, std::string& output) {
  EVENKEEL_READS("statistics", "", 0);
  EVENKEEL_READY();
  const uint64_t hits = total(service, &Counters::get_hits);
  const uint64_t misses = total(service, &Counters::get_misses);
  stat(output, "bug", bug_name(service.options.bug));
  stat(output, "threads", uint64_t{service.options.threads});
  stat(output, "curr_items", service.store.count_items());
  stat(output, "cmd_get", hits + misses);
  stat(output, "get_hits", hits);
  stat(output, "get_misses", misses);
  stat(output, "cmd_set", total(service, &Counters::sets));
  stat(output, "cmd_incr", total(service, &Counters::increments));
  stat(output, "cmd_delete", total(service, &Counters::removals));
  output.append("END\r\n");
}

void answer_get(Service& service, Counters& counters, std::string_view key, std::string& output) {
  Value value;
  if (!service.store.get(key, value)) return count(counters, &Counters::get_misses);
  count(counters, &Counters::get_hits);
  output.append("VALUE ").append(key).append(" ").append(std::to_string(value.flags));
  output.append(" ").append(std::to_string(value.data.size())).append("\r\n");
  output.append(value.data).append("\r\n");
}

std::string answer_increment(Service& service, Counters& counters, std::string_view key,
                             std::string_view delta_text) {
  uint64_t delta = 0;
  if (!parse(delta_text, delta)) return "CLIENT_ERROR invalid numeric delta argument\r\n";
  declare_write(service, key);
  await_turn();
  if (service.options.work_us != 0) EVENKEEL_REAL_WAIT(service.options.work_us * 1000UL);
  count(counters, &Counters::increments);
  uint64_t result = 0;
  switch (service.store.increment(key, delta, result)) {
    case IncrementStatus::kDone:
      return std::to_string(result) + "\r\n";
    case IncrementStatus::kNotFound:
      return "NOT_FOUND\r\n";
    case IncrementStatus::kNotNumber:
      break;
  }
  return "CLIENT_ERROR cannot increment or decrement non-numeric value\r\n";
}

}  // namespace

// A request line, split at spaces.
struct Session::Words {
  explicit Words(std::string_view line) {
    list.reserve(8);  // one allocation for most, not one for each power of two
    for (size_t at = 0; at < line.size();) {
      const size_t end = std::min(line.find(' ', at), line.size());
      if (end > at) list.push_back(line.substr(at, end - at));
      at = end + 1;
    }
    if (list.size() > 1 && list.back() == "noreply") {
      silent = true;
      list.pop_back();
    }
  }
  [[nodiscard]] std::string_view operator[](size_t i) const { return list[i]; }
  [[nodiscard]] size_t size() const { return list.size(); }
  [[nodiscard]] bool is(std::string_view command, size_t words) const {
    return list.size() == words && list[0] == command;
  }

  std::vector<std::string_view> list;
  bool silent = false;
};

size_t Session::execute(Service& service, Counters& counters, std::string_view input,
                        std::string& output, size_t output_limit) {
  size_t done = 0;
  while (!quits_ && done < input.size() && output.size() < output_limit) {
    const size_t used = execute_one(service, counters, input.substr(done), output);
    if (used == 0) break;
    done += used;
  }
  return done;
}

size_t Session::execute_one(Service& service, Counters& counters, std::string_view input,
                            std::string& output) {
  if (skip_bytes_ != 0) {
    const size_t skipped = std::min(skip_bytes_, input.size());
    skip_bytes_ -= skipped;
    return skipped;
  }
  const size_t newline = input.find('\n');
  if (std::min(newline, input.size()) > kMaxLineBytes) {
    output.append("CLIENT_ERROR line too long\r\n");
    quits_ = true;
    return input.size();
  }
  if (newline == std::string_view::npos) return 0;
  std::string_view line = input.substr(0, newline);
  if (line.ends_with('\r')) line.remove_suffix(1);
  const Words words(line);
  if (words.is("set", 5)) {
    return execute_set(service, counters, words, input, newline + 1, output);
  }
  execute_line(service, counters, words, output);
  return newline + 1;
}

// set KEY FLAGS EXPIRY BYTES, then the value and a line end.
size_t Session::execute_set(Service& service, Counters& counters, const Words& words,
                            std::string_view input, size_t line_bytes, std::string& output) {
  uint32_t flags = 0;
  int64_t expiry = 0;
  size_t bytes = 0;
  if (!good_key(words[1]) || !parse(words[2], flags) || !parse(words[3], expiry) ||
      !parse(words[4], bytes) || bytes > SIZE_MAX / 2) {
    output.append("CLIENT_ERROR bad command line format\r\n");
    return line_bytes;
  }
  if (bytes > kMaxValueBytes) {
    output.append("SERVER_ERROR object too large for cache\r\n");
    skip_bytes_ = bytes + 2;
    return line_bytes;
  }
  if (input.size() < line_bytes + bytes + 2) return 0;
  if (input.substr(line_bytes + bytes, 2) != "\r\n") {
    output.append("CLIENT_ERROR bad data chunk\r\n");
    return line_bytes + bytes + 2;
  }
  declare_write(service, words[1]);
  await_turn();
  service.store.set(words[1], flags, input.substr(line_bytes, bytes));
  count(counters, &Counters::sets);
  if (!words.silent) output.append("STORED\r\n");
  return line_bytes + bytes + 2;
}

void Session::execute_line(Service& service, Counters& counters, const Words& words,
                           std::string& output) {
  if (words.size() > 1 && words[0] != "stats" &&
      !std::all_of(words.list.begin() + 1, words.list.end(), good_key)) {
    output.append("CLIENT_ERROR bad command line format\r\n");
  } else if (words.size() >= 2 && words[0] == "get") {
    for (size_t i = 1; i < words.size(); ++i) declare_read(service, words[i]);
    await_turn();
    for (size_t i = 1; i < words.size(); ++i) answer_get(service, counters, words[i], output);
    output.append("END\r\n");
  } else if (words.is("incr", 3)) {
    const std::string answer = answer_increment(service, counters, words[1], words[2]);
    if (!words.silent) output.append(answer);
  } else if (words.is("delete", 2)) {
    declare_write(service, words[1]);
    await_turn();
    const bool found = service.store.remove(words[1]);
    count(counters, &Counters::removals);
    if (!words.silent) output.append(found ? "DELETED\r\n" : "NOT_FOUND\r\n");
  } else if (words.is("stats", 1)) {
    answer_stats(service, output);
  } else if (words.is("version", 1)) {
    output.append("VERSION kvstore 1\r\n");
  } else if (words.is("quit", 1)) {
    quits_ = true;
  } else {
    output.append("ERROR\r\n");
  }
}

}  // namespace kvstore
