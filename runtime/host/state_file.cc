#include "runtime/host/state_file.h"

#include <fcntl.h>
#include <sys/stat.h>

#include <algorithm>
#include <cerrno>
#include <cstddef>
#include <cstring>
#include <system_error>

#include "runtime/host/frozen_memory.h"
#include "runtime/host/refusal.h"

namespace evenkeel::host {
namespace {

constexpr uint64_t kPageBytes = 4096;
// 16 MiB of log; a batch that has more is not diagnosed.
constexpr uint64_t kMaxLogEntries = 4 << 20;
constexpr uint64_t kMaxTextBytes = 16 << 20;

[[noreturn]] void fail() { throw std::system_error(errno, std::generic_category()); }

uint64_t address_of(const wire::Deck& deck, const void* member) {
  return wire::kDeckAddress + static_cast<uint64_t>(static_cast<const char*>(member) -
                                                    reinterpret_cast<const char*>(&deck));
}

void add(std::vector<DeckPart>& parts, const wire::Deck& deck, const void* from, uint64_t bytes) {
  if (bytes == 0) return;
  parts.push_back({address_of(deck, from), {static_cast<const char*>(from), bytes}});
}

// False: too many.
bool add_log(std::vector<DeckPart>& parts, const wire::Deck& deck, uint32_t sequence) {
  uint64_t total = 0;
  add(parts, deck, &deck.log.groups, sizeof deck.log.groups);
  for (const wire::ThreadLog& log : deck.log.thread) {
    const uint64_t published = log.published.load(std::memory_order_acquire);
    const auto count = static_cast<uint32_t>(published);
    if (published >> 32 != sequence || count == 0) continue;
    const uint32_t used = (count - 1) / wire::kSegmentEntries + 1;
    total += count;
    if (total > kMaxLogEntries || used > wire::kMaxThreadSegments) return false;
    add(parts, deck, &log, offsetof(wire::ThreadLog, segment) + used * sizeof(uint32_t));
    for (uint32_t i = 0; i < used; ++i) {
      const uint32_t segment = log.segment[i];
      if (segment >= wire::kMaxSegments) return false;  // overwritten
      add(parts, deck, deck.log.entry[segment], sizeof deck.log.entry[segment]);
    }
  }
  return true;
}

void add_files(std::vector<DeckPart>& parts, const wire::Deck& deck) {
  const wire::FileMemos& files = deck.files;
  const uint32_t count = std::min(files.count.load(), wire::kMaxFileMemos);
  add(parts, deck, &files, offsetof(wire::FileMemos, memos) + count * sizeof files.memos[0]);
  add(parts, deck, files.payload, std::min(files.payload_used, wire::kFileMemoBytes));
}

void write_at(int fd, const void* data, uint64_t bytes, uint64_t offset) {
  const auto* from = static_cast<const char*>(data);
  while (bytes != 0) {
    const ssize_t written = ::pwrite(fd, from, bytes, static_cast<off_t>(offset));
    if (written < 0 && errno == EINTR) continue;
    if (written < 0) fail();
    from += written;
    offset += static_cast<uint64_t>(written);
    bytes -= static_cast<uint64_t>(written);
  }
}

void read_at(int fd, void* to, uint64_t bytes, uint64_t offset) {
  auto* at = static_cast<char*>(to);
  while (bytes != 0) {
    const ssize_t got = ::pread(fd, at, bytes, static_cast<off_t>(offset));
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) fail();
    if (got == 0) throw std::system_error(EIO, std::generic_category());
    at += got;
    offset += static_cast<uint64_t>(got);
    bytes -= static_cast<uint64_t>(got);
  }
}

uint64_t page_ceil(uint64_t bytes) { return (bytes + kPageBytes - 1) & ~(kPageBytes - 1); }

class Writer {
 public:
  explicit Writer(int fd) : fd_(fd) {}

  void add_memory(const FrozenMemory& memory, Span span) {
    std::string buffer(std::min<uint64_t>(span.end - span.begin, kBufferBytes), '\0');
    begin_segment(span.begin, span.end - span.begin);
    for (uint64_t at = span.begin; at < span.end; at += buffer.size()) {
      const uint64_t bytes = std::min<uint64_t>(span.end - at, buffer.size());
      memory.read(at, buffer.data(), bytes);
      append(buffer.data(), bytes);
    }
  }
  void add_part(const DeckPart& part) {
    begin_segment(part.address, part.bytes.size());
    append(part.bytes.data(), part.bytes.size());
  }
  void finish(const std::string& text) {
    std::sort(segments_.begin(), segments_.end(),
              [](const auto& a, const auto& b) { return a.address < b.address; });
    wire::StateHeader header{};
    header.magic = wire::kStateMagic;
    header.version = wire::kStateVersion;
    header.segment_count = static_cast<uint32_t>(segments_.size());
    header.segments_offset = end_ = page_ceil(end_);
    append(segments_.data(), segments_.size() * sizeof segments_[0]);
    header.text_offset = end_;
    header.text_bytes = text.size();
    append(text.data(), text.size());
    header.file_bytes = end_;
    write_at(fd_, &header, sizeof header, 0);
  }

 private:
  static constexpr uint64_t kBufferBytes = 1 << 20;

  void begin_segment(uint64_t address, uint64_t bytes) {
    segments_.push_back({address, bytes, end_});
  }
  void append(const void* data, uint64_t bytes) {
    write_at(fd_, data, bytes, end_);
    end_ += bytes;
  }

  int fd_;
  uint64_t end_ = kPageBytes;  // behind the header
  std::vector<wire::StateSegment> segments_;
};

}  // namespace

std::vector<DeckPart> copy_batch(const wire::Deck& deck, uint32_t sequence, uint32_t input_count) {
  std::vector<DeckPart> parts;
  add(parts, deck, &deck.boot, sizeof deck.boot);
  add(parts, deck, &deck.command, sizeof deck.command);
  const uint32_t count = std::min(input_count, wire::kMaxInputs);
  uint64_t used = 0;
  for (uint32_t i = 0; i < count; ++i) {
    used = std::max(used, deck.inputs[i].offset + deck.inputs[i].bytes);
  }
  add(parts, deck, deck.inputs, count * sizeof deck.inputs[0]);
  add(parts, deck, deck.input_bytes, std::min(used, wire::kInputBytes));
  add_files(parts, deck);
  const bool complete = deck.log.overflow.load() == 0;
  if (!complete || !add_log(parts, deck, sequence)) parts.clear();
  return parts;
}

std::vector<DeckPart> copy_seat(const wire::Deck& deck, uint32_t primary) {
  const wire::Replica& from = deck.replicas[primary];
  std::vector<DeckPart> parts;
  const uint32_t regions = std::min(from.region_count.load(), wire::kMaxRegions);
  add(parts, deck, &from, offsetof(wire::Replica, regions) + regions * sizeof from.regions[0]);
  parts.front().address = address_of(deck, &deck.replicas[kSourceSeat]);
  return parts;
}

void write_state(const std::filesystem::path& path, pid_t frozen, std::vector<DeckPart> parts,
                 nlohmann::json text, uint64_t limit_bytes) {
  const FrozenMemory memory(frozen);
  const std::vector<Span> spans = memory.spans();
  uint64_t total = 0;
  for (const Span& span : spans) total += span.end - span.begin;
  if (total > limit_bytes) {
    throw Refusal(1, fmt::format("the state has {} bytes, more than {}", total, limit_bytes),
                  "raise --diagnose-limit");
  }
  if (spans.size() + parts.size() > wire::kMaxStateSegments) {
    throw Refusal(1, fmt::format("the state has {} pieces", spans.size()), "turn diagnosis off with --diagnose-limit 0");
  }
  text["files"] = memory.files();
  const std::filesystem::path temporary = path.string() + ".new";
  const Fd fd(::open(temporary.c_str(), O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600));
  if (!fd.valid()) fail();
  try {
    Writer writer(fd.get());
    for (const Span& span : spans) writer.add_memory(memory, span);
    for (const DeckPart& part : parts) writer.add_part(part);
    writer.finish(text.dump());
    std::filesystem::rename(temporary, path);
  } catch (...) {
    ::unlink(temporary.c_str());
    throw;
  }
}

StateFile::StateFile(const std::filesystem::path& path)
    : fd_(::open(path.c_str(), O_RDONLY | O_CLOEXEC)) {
  if (!fd_.valid()) {
    throw Refusal(kExitUsage, fmt::format("{}: {}", path.string(), std::strerror(errno)),
                  "see evenkeel report list for what there is");
  }
  const int high = ::fcntl(fd_.get(), F_DUPFD_CLOEXEC, kHighFd);
  if (high >= 0) fd_.reset(high);  // else the limit of open files is low: any number will do
  check(path.string());
}

void StateFile::check(const std::string& name) {
  struct stat info {};
  const bool whole =
      ::fstat(fd_.get(), &info) == 0 && static_cast<size_t>(info.st_size) >= sizeof header_;
  if (whole) read_at(fd_.get(), &header_, sizeof header_, 0);
  if (!whole || header_.magic != wire::kStateMagic) {
    throw Refusal(kExitUsage, fmt::format("{} is not a bundle", name),
                  "make one with evenkeel report export");
  }
  if (header_.version != wire::kStateVersion) {
    throw Refusal(
        kExitUsage,
        fmt::format("{} has format {}, this is {}", name, header_.version, wire::kStateVersion),
        "use the evenkeel that made it");
  }
  const auto size = static_cast<uint64_t>(info.st_size);
  const uint64_t table = header_.segment_count * sizeof(wire::StateSegment);
  // An exported one has its report behind it.
  const bool fits = header_.file_bytes <= size && header_.segments_offset <= size &&
                    table <= size - header_.segments_offset && header_.text_offset <= size &&
                    header_.text_bytes <= size - header_.text_offset &&
                    header_.text_bytes <= kMaxTextBytes;
  if (!fits) {
    throw Refusal(kExitUsage, fmt::format("{} is truncated or damaged", name),
                  "export it again, or copy it again");
  }
  segments_.resize(header_.segment_count);
  read_at(fd_.get(), segments_.data(), table, header_.segments_offset);
  std::string text(header_.text_bytes, '\0');
  read_at(fd_.get(), text.data(), text.size(), header_.text_offset);
  text_ = nlohmann::json::parse(text, nullptr, false);
  if (text_.is_discarded()) {
    throw Refusal(kExitUsage, fmt::format("{} is damaged", name), "copy it again");
  }
}

void StateFile::load_log(wire::Deck& deck) const {
  load_part(deck, offsetof(wire::Deck, log), sizeof deck.log);
}

void StateFile::load_part(wire::Deck& deck, uint64_t begin, uint64_t bytes) const {
  for (const wire::StateSegment& segment : segments_) {
    const uint64_t at = segment.address - wire::kDeckAddress;  // below the deck: a huge number
    if (at < begin || at - begin >= bytes || segment.bytes > bytes - (at - begin)) continue;
    read_at(fd_.get(), reinterpret_cast<char*>(&deck) + at, segment.bytes, segment.offset);
  }
}

}  // namespace evenkeel::host
