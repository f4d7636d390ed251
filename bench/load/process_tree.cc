#include "bench/load/process_tree.h"

#include <unistd.h>

#include <cstdio>
#include <filesystem>
#include <fstream>
#include <map>
#include <sstream>
#include <string>

namespace evenkeel::load {
namespace {

struct Stat {
  pid_t parent = 0;
  double ticks = 0;  // utime, stime, cutime, cstime
};

// /proc/PID/stat: the command in parentheses may hold anything, so parse from its last ')'.
bool read_stat(const std::filesystem::path& directory, Stat& stat) {
  std::ifstream file(directory / "stat");
  std::string text;
  if (!std::getline(file, text)) return false;
  const size_t end = text.rfind(')');
  if (end == std::string::npos) return false;
  std::istringstream fields(text.substr(end + 1));
  std::string skipped;
  fields >> skipped >> stat.parent;                // fields 3 and 4
  for (int i = 5; i < 14; ++i) fields >> skipped;  // utime is field 14
  for (int i = 0; i < 4; ++i) {
    double ticks = 0;
    fields >> ticks;
    stat.ticks += ticks;
  }
  return static_cast<bool>(fields);
}

bool is_in_tree(const std::map<pid_t, Stat>& stats, pid_t pid, pid_t root) {
  while (pid != root) {
    const auto found = stats.find(pid);
    if (found == stats.end()) return false;
    pid = found->second.parent;
  }
  return true;
}

}  // namespace

double tree_cpu_seconds(pid_t root) {
  std::map<pid_t, Stat> stats;
  for (const auto& entry : std::filesystem::directory_iterator("/proc")) {
    const std::string name = entry.path().filename();
    Stat stat;
    if (name.find_first_not_of("0123456789") != std::string::npos) continue;
    if (read_stat(entry.path(), stat)) stats[static_cast<pid_t>(std::stol(name))] = stat;
  }
  double ticks = 0;
  for (const auto& [pid, stat] : stats) {
    if (is_in_tree(stats, pid, root)) ticks += stat.ticks;
  }
  return ticks / static_cast<double>(sysconf(_SC_CLK_TCK));
}

}  // namespace evenkeel::load
