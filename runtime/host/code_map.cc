#include "runtime/host/code_map.h"

#include <fmt/format.h>
#include <sys/stat.h>

#include <algorithm>
#include <cstdio>
#include <fstream>

#include "runtime/host/symbols.h"

namespace evenkeel::host {
namespace {

std::string identity_of(const std::string& path) {
  std::string id = build_id(path);
  if (!id.empty()) return id;
  struct stat status {};
  if (::stat(path.c_str(), &status) != 0) return "unknown";
  return fmt::format("{}-{}.{}", status.st_size, status.st_mtim.tv_sec, status.st_mtim.tv_nsec);
}

}  // namespace

void CodeMap::read(pid_t pid) {
  pid_ = pid;
  std::ifstream maps(fmt::format("/proc/{}/maps", pid));
  if (!maps.is_open()) return;
  mappings_.clear();
  for (std::string line; std::getline(maps, line);) {
    Mapping mapping;
    char permissions[5] = {};
    int path_at = 0;
    if (std::sscanf(line.c_str(), "%lx-%lx %4s %lx %*s %*s %n", &mapping.begin, &mapping.end,
                    permissions, &mapping.offset, &path_at) < 4) {
      continue;
    }
    mapping.path = line.substr(std::min(line.size(), static_cast<size_t>(path_at)));
    if (permissions[2] != 'x' || !mapping.path.starts_with('/')) continue;
    mappings_.push_back(std::move(mapping));
  }
}

const CodeMap::Mapping* CodeMap::find(uint64_t address) const {
  for (const Mapping& m : mappings_) {
    if (address >= m.begin && address < m.end) return &m;
  }
  return nullptr;
}

const std::string& CodeMap::build_of(const std::string& path) {
  const auto known = builds_.find(path);
  if (known != builds_.end()) return known->second;
  return builds_.emplace(path, identity_of(path)).first->second;
}

std::optional<CodePlace> CodeMap::place_of(uint64_t address) {
  const Mapping* mapping = find(address);
  if (mapping == nullptr) {
    read(pid_);
    mapping = find(address);
  }
  if (mapping == nullptr) return std::nullopt;
  return CodePlace{mapping->path, build_of(mapping->path),
                   address - mapping->begin + mapping->offset};
}

std::optional<uint64_t> CodeMap::address_of(const CodePlace& place) {
  for (const Mapping& m : mappings_) {
    if (m.path != place.module || place.offset - m.offset >= m.end - m.begin) continue;
    if (build_of(m.path) != place.build) return std::nullopt;
    return m.begin + (place.offset - m.offset);
  }
  return std::nullopt;
}

const std::string& CodeMap::name_of(uint64_t return_address) {
  const auto known = names_.find(return_address);
  if (known != names_.end()) return known->second;
  // The call is what is meant; its return address may already belong to another function.
  return names_.emplace(return_address, name_code(pid_, return_address - 1)).first->second;
}

}  // namespace evenkeel::host
