#include "runtime/host/group_table.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>

#include <algorithm>
#include <array>
#include <cstring>
#include <memory>
#include <new>

#include "runtime/host/fd.h"
#include "runtime/host/refusal.h"
#include "runtime/host/report_file.h"

namespace evenkeel::host {
namespace {

constexpr std::array<char, 8> kMagic = {'E', 'v', 'k', 'G', 'r', 'p', 's', '\n'};
constexpr uint32_t kFormat = 1;

}  // namespace

struct GroupTable::Table {
  std::array<char, 8> magic;
  uint32_t format;
  uint32_t slots;
  uint8_t reserved[496];
  Group group[kMaxGroups];

  [[nodiscard]] bool usable() const {
    return magic == kMagic && format == kFormat && slots == kMaxGroups;
  }
};

GroupTable::GroupTable(const std::filesystem::path& file) {
  Fd fd(::open(file.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600));
  struct stat status {};
  const bool complete = fd.valid() && ::fstat(fd.get(), &status) == 0 &&
                        static_cast<size_t>(status.st_size) == sizeof(Table);
  // All of it at once: a store to a page that the disk has no room for would end the run.
  const bool room = fd.valid() && (complete || ::ftruncate(fd.get(), 0) == 0) &&
                    ::posix_fallocate(fd.get(), 0, sizeof(Table)) == 0;
  if (!room) {
    say("counts of reports cannot be kept in {}: they are this run's only", file.string());
  }
  void* memory = ::mmap(nullptr, sizeof(Table), PROT_READ | PROT_WRITE,
                        room ? MAP_SHARED : MAP_PRIVATE | MAP_ANONYMOUS, room ? fd.get() : -1, 0);
  if (memory == MAP_FAILED) throw std::bad_alloc();
  table_ = static_cast<Table*>(memory);
  if (complete && !table_->usable()) {
    say("the counts of earlier reports cannot be used: {} is damaged; counting begins anew",
        file.string());
  }
  if (table_->usable()) return;
  std::memset(memory, 0, sizeof(Table));
  table_->magic = kMagic;
  table_->format = kFormat;
  table_->slots = kMaxGroups;
}

GroupTable::~GroupTable() { ::munmap(table_, sizeof(Table)); }

Group& GroupTable::slot_of(uint64_t signature) {
  Group* oldest = &table_->group[0];
  for (Group& group : table_->group) {
    if (group.signature == signature || group.signature == 0) return group;
    if (group.last_ns < oldest->last_ns) oldest = &group;
  }
  *oldest = Group{};
  return *oldest;
}

uint64_t GroupTable::count(uint64_t signature, record::Kind kind, uint64_t realtime_ns,
                           const std::string& summary) {
  Group& group = slot_of(signature);
  if (group.signature == 0) {
    group.first_ns = realtime_ns;
    group.kind = static_cast<uint32_t>(kind);
    const size_t length = std::min(summary.size(), sizeof group.summary - 1);
    std::memcpy(group.summary, summary.data(), length);
    group.signature = signature;
  }
  group.last_ns = realtime_ns;
  return ++group.count;
}

std::vector<Group> GroupTable::read(const std::filesystem::path& file) {
  const auto table = std::make_unique<Table>();
  std::vector<Group> groups;
  std::error_code error;
  if (!std::filesystem::exists(file, error)) return groups;
  const std::string data = read_whole(file, sizeof(Table));
  if (data.size() == sizeof(Table)) std::memcpy(table.get(), data.data(), sizeof(Table));
  if (!table->usable()) throw std::runtime_error("it is damaged");
  for (Group& group : table->group) {
    group.summary[sizeof group.summary - 1] = '\0';
    if (group.signature != 0 && group.count != 0) groups.push_back(group);
  }
  return groups;
}

}  // namespace evenkeel::host
