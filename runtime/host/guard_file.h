#pragma once
// What the guard has learnt, kept in the state directory from run to run: STATE/NAME/guard.json.
// A site is stored by module, build and offset, so that it is found again at other addresses, and
// not in other code.
#include <filesystem>
#include <string>
#include <vector>

#include "runtime/host/code_map.h"

namespace evenkeel::host {

struct StoredSite {
  CodePlace place;
  uint64_t depth = 0;
};

struct StoredInterleaving {
  StoredSite before, between, after;
  uint32_t unlearnt = 0;
  bool convicted = false;
  bool learnt = false;
};

struct GuardRecord {
  bool answers_changed = false;
  std::vector<StoredInterleaving> interleavings;
};

constexpr int kGuardFileVersion = 1;

// Nothing, and no complaint, if there is no file. A file that cannot be used is left alone.
[[nodiscard]] GuardRecord read_guard_file(const std::filesystem::path& path,
                                          std::string& complaint);
// Replaces the file as a whole. False: it could not be written; the old one is unharmed.
[[nodiscard]] bool write_guard_file(const std::filesystem::path& path, const GuardRecord& record);

}  // namespace evenkeel::host
