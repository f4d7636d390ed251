// The memcached protocols: protocol.txt (text and meta) and the binary protocol of memcached 1.6.
#include <endian.h>

#include <algorithm>
#include <cstring>

#include "runtime/host/mixer/dialects.h"

namespace evenkeel::host {
namespace {

using mixer::Access;

enum class Keys : uint32_t { kNone, kFirst, kAll, kAllButFirst, kEverything };

struct Command {
  std::string_view name;
  Keys keys = Keys::kNone;
  Access access = Access::kRead;
  uint32_t size_word = 0;  // the word of the line that has the length of the value behind it; 0: no
                           // value
};

constexpr Command kCommands[] = {
    {"get", Keys::kAll, Access::kRead},
    {"gets", Keys::kAll, Access::kRead},
    {"mg", Keys::kFirst, Access::kRead},
    {"set", Keys::kFirst, Access::kWrite, 4},
    {"ms", Keys::kFirst, Access::kWrite, 2},
    {"add", Keys::kFirst, Access::kWrite, 4},
    {"replace", Keys::kFirst, Access::kWrite, 4},
    {"append", Keys::kFirst, Access::kWrite, 4},
    {"prepend", Keys::kFirst, Access::kWrite, 4},
    {"cas", Keys::kFirst, Access::kWrite, 4},
    {"incr", Keys::kFirst, Access::kWrite},
    {"decr", Keys::kFirst, Access::kWrite},
    {"delete", Keys::kFirst, Access::kWrite},
    {"touch", Keys::kFirst, Access::kWrite},
    {"gat", Keys::kAllButFirst, Access::kWrite},
    {"gats", Keys::kAllButFirst, Access::kWrite},
    {"md", Keys::kFirst, Access::kWrite},
    {"ma", Keys::kFirst, Access::kWrite},
    {"me", Keys::kFirst, Access::kRead},
    {"mn", Keys::kNone},
    {"version", Keys::kNone},
    {"quit", Keys::kNone},
    {"stats", Keys::kEverything},
    {"flush_all", Keys::kEverything},
};

const Command* find_command(std::string_view name) {
  const auto* const found = std::find_if(std::begin(kCommands), std::end(kCommands),
                                         [&](const Command& c) { return c.name == name; });
  return found == std::end(kCommands) ? nullptr : found;
}

// Flags of meta commands behind the key: those with which "mg" writes (touch, create, recache), and
// that for a key in base64.
bool has_flag(std::string_view words, std::string_view flags) {
  for (std::string_view word = take_word(words); !word.empty(); word = take_word(words)) {
    if (flags.find(word.front()) != std::string_view::npos) return true;
  }
  return false;
}

bool is_meta(std::string_view name) { return name.size() == 2 && name.front() == 'm'; }

constexpr uint8_t kBinaryRequest = 0x80;

struct BinaryHead {
  uint8_t magic;
  uint8_t opcode;
  uint16_t key_bytes;  // big endian, as the others
  uint8_t extra_bytes;
  uint8_t type;
  uint16_t bucket;
  uint32_t body_bytes;  // extras, key and value
  uint32_t opaque;
  uint64_t cas;
};
static_assert(sizeof(BinaryHead) == 24);

struct BinaryCommand {
  std::string_view name;
  uint64_t opcodes;  // bit n: opcode n
  Keys keys;
  Access access;
};

template <typename... Opcodes>
constexpr uint64_t bits(Opcodes... opcodes) {
  return ((uint64_t{1} << opcodes) | ...);
}

constexpr BinaryCommand kBinaryCommands[] = {
    {"get", bits(0x00, 0x09, 0x0c, 0x0d), Keys::kFirst, Access::kRead},
    {"set", bits(0x01, 0x11), Keys::kFirst, Access::kWrite},
    {"add", bits(0x02, 0x12), Keys::kFirst, Access::kWrite},
    {"replace", bits(0x03, 0x13), Keys::kFirst, Access::kWrite},
    {"delete", bits(0x04, 0x14), Keys::kFirst, Access::kWrite},
    {"incr", bits(0x05, 0x15), Keys::kFirst, Access::kWrite},
    {"decr", bits(0x06, 0x16), Keys::kFirst, Access::kWrite},
    {"append", bits(0x0e, 0x19), Keys::kFirst, Access::kWrite},
    {"prepend", bits(0x0f, 0x1a), Keys::kFirst, Access::kWrite},
    {"touch", bits(0x1c), Keys::kFirst, Access::kWrite},
    {"gat", bits(0x1d, 0x1e, 0x23, 0x24), Keys::kFirst, Access::kWrite},
    {"quit", bits(0x07, 0x17), Keys::kNone, Access::kRead},
    {"noop", bits(0x0a), Keys::kNone, Access::kRead},
    {"version", bits(0x0b), Keys::kNone, Access::kRead},
    {"flush", bits(0x08, 0x18), Keys::kEverything, Access::kWrite},
    {"stat", bits(0x10), Keys::kEverything, Access::kRead},
};

const BinaryCommand* find_binary(uint8_t opcode) {
  for (const BinaryCommand& command : kBinaryCommands) {
    if (opcode < 64 && (command.opcodes >> opcode & 1) != 0) return &command;
  }
  return nullptr;
}

class Memcached : public Dialect {
 private:
  size_t head(Stream& stream, std::string_view bytes, Requests& out) const override {
    if (static_cast<uint8_t>(bytes.front()) == kBinaryRequest) return binary(stream, bytes, out);
    std::string_view rest = bytes;
    std::string_view line;
    if (!take_line(rest, line)) return kIncomplete;
    return text(stream, line, out) ? bytes.size() - rest.size() : kLost;
  }

  // False: the value's end cannot be found.
  bool text(Stream& stream, std::string_view line, Requests& out) const {
    std::string_view words = line;
    const std::string_view name = take_word(words);
    const Command* const command = find_command(name);
    if (command == nullptr) {
      out.begin("(unknown command)");
      out.unknown();
      return true;
    }
    out.begin(command->name);
    if (command->size_word != 0 && !value_behind(stream, *command, words)) {
      out.unknown();  // the server refuses such a line and takes the next for a command
      return true;
    }
    add_keys(*command, words, out);
    return true;
  }

  static bool value_behind(Stream& stream, const Command& command, std::string_view words) {
    std::string_view size;
    for (uint32_t i = 0; i < command.size_word; ++i) size = take_word(words);
    uint64_t bytes = 0;
    if (!read_number(size, bytes)) return false;
    stream.body = bytes + 2;  // "\r\n"
    return true;
  }

  void add_keys(const Command& command, std::string_view words, Requests& out) const {
    if (command.keys == Keys::kEverything) return out.everything();
    if (command.keys == Keys::kNone) return;
    if (command.keys == Keys::kAllButFirst) take_word(words);
    std::string_view key = take_word(words);
    if (command.keys == Keys::kFirst) {
      const bool meta = is_meta(command.name);
      if (meta && has_flag(words, "b")) return out.unknown();
      const bool writes = meta && command.access == Access::kRead && has_flag(words, "TNER");
      return out.key(items_, key, writes ? Access::kWrite : command.access);
    }
    for (; !key.empty(); key = take_word(words)) out.key(items_, key, command.access);
  }

  size_t binary(Stream& stream, std::string_view bytes, Requests& out) const {
    BinaryHead header{};
    if (bytes.size() < sizeof header) return kIncomplete;
    std::memcpy(&header, bytes.data(), sizeof header);
    const size_t key_bytes = be16toh(header.key_bytes);
    const size_t head_bytes = sizeof header + header.extra_bytes + key_bytes;
    const uint64_t whole = sizeof header + be32toh(header.body_bytes);
    if (whole < head_bytes) return kLost;
    if (bytes.size() < head_bytes) return kIncomplete;
    stream.body = whole - head_bytes;
    const BinaryCommand* const command = find_binary(header.opcode);
    out.begin(command == nullptr ? "(unknown opcode)" : command->name);
    if (command == nullptr) {
      out.unknown();
    } else if (command->keys == Keys::kEverything) {
      out.everything();
    } else if (command->keys == Keys::kFirst) {
      out.key(items_, bytes.substr(head_bytes - key_bytes, key_bytes), command->access);
    }
    return head_bytes;
  }

  const Space items_ = Space::named("item");
};

}  // namespace

std::unique_ptr<Dialect> memcached_dialect() { return std::make_unique<Memcached>(); }

}  // namespace evenkeel::host
