#pragma once
// Reports of one bug are a group: how often it struck, and when. The counts are a mapped file, so
// that one more costs no system call, and that they are exact even if the run is killed.
//
// Threads: one writes; other processes read copies of the file.
// Memory:  kMaxGroups slots of 512 bytes, in the file.
// Errors:  a table that cannot be used is begun anew; without room on the disk it is kept in memory
//          only, which is said.
#include <cstdint>
#include <filesystem>
#include <string>
#include <vector>

#include "runtime/host/report.pb.h"

namespace evenkeel::host {

struct Group {
  uint64_t signature = 0;  // 0: free
  uint64_t count = 0;
  uint64_t first_ns = 0;  // CLOCK_REALTIME
  uint64_t last_ns = 0;
  uint32_t kind = 0;  // record::Kind
  uint32_t reserved = 0;
  char summary[472] = {};  // of the first; cut if longer
};
static_assert(sizeof(Group) == 512);

class GroupTable {
 public:
  // More: the group that was seen longest ago gives way.
  static constexpr size_t kMaxGroups = 1024;

  explicit GroupTable(const std::filesystem::path& file);
  ~GroupTable();
  GroupTable(const GroupTable&) = delete;
  GroupTable& operator=(const GroupTable&) = delete;

  // One more of this signature; how many that makes.
  uint64_t count(uint64_t signature, record::Kind kind, uint64_t realtime_ns,
                 const std::string& summary);

  // Groups in use. Of a file that is missing: none.
  [[nodiscard]] static std::vector<Group> read(const std::filesystem::path& file);

 private:
  struct Table;
  [[nodiscard]] Group& slot_of(uint64_t signature);

  Table* table_ = nullptr;
};

}  // namespace evenkeel::host
