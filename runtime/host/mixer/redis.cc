// Redis: RESP arrays of bulk strings, and inline commands. Which arguments are keys follows the
// command table of the Redis documentation (COMMAND: first key, last key, step).
#include <algorithm>
#include <cctype>

#include "runtime/host/mixer/dialects.h"

namespace evenkeel::host {
namespace {

using mixer::Access;

struct Command {
  std::string_view name;  // capitals
  Access access;
  int first;  // argument, the name being 0; 0: no keys
  int last;   // negative: from the end
  int step;
};

constexpr Access kR = Access::kRead;
constexpr Access kW = Access::kWrite;

// Not here: unknown. Blocking, scripting, transactions and commands on the whole are on purpose.
constexpr Command kCommands[] = {
    {"APPEND", kW, 1, 1, 1},    {"BITCOUNT", kR, 1, 1, 1},  {"DECR", kW, 1, 1, 1},
    {"DECRBY", kW, 1, 1, 1},    {"DEL", kW, 1, -1, 1},      {"ECHO", kR, 0, 0, 0},
    {"EXISTS", kR, 1, -1, 1},   {"EXPIRE", kW, 1, 1, 1},    {"EXPIREAT", kW, 1, 1, 1},
    {"GET", kR, 1, 1, 1},       {"GETBIT", kR, 1, 1, 1},    {"GETDEL", kW, 1, 1, 1},
    {"GETEX", kW, 1, 1, 1},     {"GETRANGE", kR, 1, 1, 1},  {"GETSET", kW, 1, 1, 1},
    {"HDEL", kW, 1, 1, 1},      {"HEXISTS", kR, 1, 1, 1},   {"HGET", kR, 1, 1, 1},
    {"HGETALL", kR, 1, 1, 1},   {"HINCRBY", kW, 1, 1, 1},   {"HKEYS", kR, 1, 1, 1},
    {"HLEN", kR, 1, 1, 1},      {"HMGET", kR, 1, 1, 1},     {"HMSET", kW, 1, 1, 1},
    {"HSET", kW, 1, 1, 1},      {"HSETNX", kW, 1, 1, 1},    {"HVALS", kR, 1, 1, 1},
    {"INCR", kW, 1, 1, 1},      {"INCRBY", kW, 1, 1, 1},    {"INCRBYFLOAT", kW, 1, 1, 1},
    {"LINDEX", kR, 1, 1, 1},    {"LINSERT", kW, 1, 1, 1},   {"LLEN", kR, 1, 1, 1},
    {"LPOP", kW, 1, 1, 1},      {"LPUSH", kW, 1, 1, 1},     {"LPUSHX", kW, 1, 1, 1},
    {"LRANGE", kR, 1, 1, 1},    {"LREM", kW, 1, 1, 1},      {"LSET", kW, 1, 1, 1},
    {"LTRIM", kW, 1, 1, 1},     {"MGET", kR, 1, -1, 1},     {"MSET", kW, 1, -1, 2},
    {"MSETNX", kW, 1, -1, 2},   {"PERSIST", kW, 1, 1, 1},   {"PEXPIRE", kW, 1, 1, 1},
    {"PING", kR, 0, 0, 0},      {"PSETEX", kW, 1, 1, 1},    {"PTTL", kR, 1, 1, 1},
    {"QUIT", kR, 0, 0, 0},      {"RENAME", kW, 1, 2, 1},    {"RPOP", kW, 1, 1, 1},
    {"RPOPLPUSH", kW, 1, 2, 1}, {"RPUSH", kW, 1, 1, 1},     {"RPUSHX", kW, 1, 1, 1},
    {"SADD", kW, 1, 1, 1},      {"SCARD", kR, 1, 1, 1},     {"SDIFF", kR, 1, -1, 1},
    {"SELECT", kR, 0, 0, 0},    {"SET", kW, 1, 1, 1},       {"SETBIT", kW, 1, 1, 1},
    {"SETEX", kW, 1, 1, 1},     {"SETNX", kW, 1, 1, 1},     {"SETRANGE", kW, 1, 1, 1},
    {"SINTER", kR, 1, -1, 1},   {"SISMEMBER", kR, 1, 1, 1}, {"SMEMBERS", kR, 1, 1, 1},
    {"SMOVE", kW, 1, 2, 1},     {"SPOP", kW, 1, 1, 1},      {"SREM", kW, 1, 1, 1},
    {"STRLEN", kR, 1, 1, 1},    {"SUNION", kR, 1, -1, 1},   {"TOUCH", kW, 1, -1, 1},
    {"TTL", kR, 1, 1, 1},       {"TYPE", kR, 1, 1, 1},      {"UNLINK", kW, 1, -1, 1},
    {"ZADD", kW, 1, 1, 1},      {"ZCARD", kR, 1, 1, 1},     {"ZCOUNT", kR, 1, 1, 1},
    {"ZINCRBY", kW, 1, 1, 1},   {"ZRANGE", kR, 1, 1, 1},    {"ZRANGEBYSCORE", kR, 1, 1, 1},
    {"ZRANK", kR, 1, 1, 1},     {"ZREM", kW, 1, 1, 1},      {"ZREVRANGE", kR, 1, 1, 1},
    {"ZSCORE", kR, 1, 1, 1},
};
static_assert(std::is_sorted(std::begin(kCommands), std::end(kCommands),
                             [](const Command& a, const Command& b) { return a.name < b.name; }));

constexpr size_t kMaxNameBytes = 16;
constexpr uint64_t kMaxArguments = 1 << 20;  // as Redis itself; more: lost
constexpr uint64_t kMaxKeyBytes = 16 << 10;  // longer: the command conflicts with everything

// Null: unknown.
const Command* find_command(std::string_view name) {
  if (name.size() > kMaxNameBytes) return nullptr;
  char capitals[kMaxNameBytes];
  std::transform(name.begin(), name.end(), capitals,
                 [](unsigned char c) { return static_cast<char>(std::toupper(c)); });
  const std::string_view wanted(capitals, name.size());
  const auto* const found =
      std::lower_bound(std::begin(kCommands), std::end(kCommands), wanted,
                       [](const Command& c, std::string_view n) { return c.name < n; });
  return found == std::end(kCommands) || found->name != wanted ? nullptr : found;
}

bool is_key(const Command& command, int argument, int count) {
  if (command.first == 0 || argument < command.first) return false;
  const int last = command.last < 0 ? count + command.last : command.last;
  return argument <= last && (argument - command.first) % command.step == 0;
}

// Stream: stage kArguments while inside an array; number: the command's row + 1, 0 unknown;
// position: the next argument; total: of arguments.
enum Stage : uint32_t { kBetween = 0, kArguments = 1 };

class Redis : public Dialect {
 private:
  size_t head(Stream& stream, std::string_view bytes, Requests& out) const override {
    std::string_view rest = bytes;
    std::string_view line;
    if (!take_line(rest, line)) return kIncomplete;
    if (stream.stage == kArguments) return argument(stream, line, rest, bytes.size(), out);
    if (line.empty()) return bytes.size() - rest.size();
    if (line.front() != '*') {
      inline_command(line, out);
      return bytes.size() - rest.size();
    }
    uint64_t count = 0;
    if (line == "*-1") return bytes.size() - rest.size();
    if (!read_number(line.substr(1), count) || count > kMaxArguments) return kLost;
    if (count != 0) {
      stream.stage = kArguments;
      stream.position = stream.number = 0;
      stream.total = static_cast<uint32_t>(count);
      out.begin("(command)");
    }
    return bytes.size() - rest.size();
  }

  // "$5" and then, if anybody looks at it, the argument; `rest` is what follows the line.
  size_t argument(Stream& stream, std::string_view line, std::string_view rest, size_t all,
                  Requests& out) const {
    uint64_t bytes = 0;
    if (line.empty() || line.front() != '$' || !read_number(line.substr(1), bytes)) return kLost;
    const size_t header = all - rest.size();
    const bool name = stream.position == 0;
    const Command* const command = stream.number == 0 ? nullptr : &kCommands[stream.number - 1];
    const bool key = command != nullptr && is_key(*command, static_cast<int>(stream.position),
                                                  static_cast<int>(stream.total));
    const bool looked = (name && bytes <= kMaxNameBytes) || (key && bytes <= kMaxKeyBytes);
    if (looked && rest.size() < bytes + 2) return kIncomplete;
    const std::string_view text = looked ? rest.substr(0, bytes) : std::string_view();
    if (name) stream.number = begin(text, out);
    if (key) looked ? out.key(keys_, text, command->access) : out.everything();
    if (++stream.position == stream.total) stream.stage = kBetween;
    if (looked) return header + bytes + 2;
    stream.body = bytes + 2;
    return header;
  }

  // Its row + 1; 0: unknown.
  static uint32_t begin(std::string_view name, Requests& out) {
    const Command* const command = find_command(name);
    if (command == nullptr) {
      out.unknown();
      return 0;
    }
    out.name(command->name);
    return static_cast<uint32_t>(command - std::begin(kCommands)) + 1;
  }

  void inline_command(std::string_view line, Requests& out) const {
    std::string_view words = line;
    int count = 0;
    while (!take_word(words).empty()) ++count;
    const Command* const command = find_command(take_word(line));
    out.begin(command == nullptr ? "(command)" : command->name);
    if (command == nullptr || line.find_first_of("\"'") != std::string_view::npos) {
      return out.unknown();
    }
    for (int i = 1; i < count; ++i) {
      const std::string_view word = take_word(line);
      if (is_key(*command, i, count)) out.key(keys_, word, command->access);
    }
  }

  const Space keys_ = Space::named("key");
};

}  // namespace

std::unique_ptr<Dialect> redis_dialect() { return std::make_unique<Redis>(); }

}  // namespace evenkeel::host
