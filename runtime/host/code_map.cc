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
    if (!mapping.path.starts_with('/')) continue;
    mapping.executable = permissions[2] == 'x';
    mappings_.push_back(std::move(mapping));
  }
}

const CodeMap::Mapping* CodeMap::find(uint64_t address) const {
  for (const Mapping& m : mappings_) {
    if (m.executable && address >= m.begin && address < m.end) return &m;
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
    if (!m.executable || m.path != place.module || place.offset - m.offset >= m.end - m.begin)
      continue;
    if (build_of(m.path) != place.build) return std::nullopt;
    return m.begin + (place.offset - m.offset);
  }
  return std::nullopt;
}

const record::Frame& CodeMap::frame_of(uint64_t address, bool return_address) {
  // The call is what is meant; its return address may already belong to another function.
  const uint64_t instruction = return_address ? address - 1 : address;
  const auto known = frames_.find(instruction);
  if (known != frames_.end()) return known->second;
  if (frames_.size() >= kMaxFrames) {
    frames_.clear();
    standard_library_.clear();
  }
  record::Frame& frame = frames_[instruction];
  frame.set_address(address);
  frame.set_return_address(return_address);
  const auto place = place_of(instruction);
  if (!place) return frame;
  frame.set_module(place->module);
  frame.set_build_id(place->build);
  frame.set_module_offset(place->offset);
  frame.set_module_address(virtual_address(place->module, place->offset, true).value_or(0));
  if (const auto symbol = find_symbol(place->module, place->offset, true)) {
    frame.set_symbol(symbol->name);
    frame.set_symbol_offset(symbol->offset);
    if (symbol->standard_library) standard_library_.insert(instruction);
  }
  return frame;
}

bool CodeMap::in_standard_library(uint64_t address, bool return_address) {
  (void)frame_of(address, return_address);
  return standard_library_.contains(return_address ? address - 1 : address);
}

void CodeMap::add_modules(record::Report& report) {
  read(pid_);
  std::map<std::string, record::Module*> modules;
  for (const Mapping& m : mappings_) {
    record::Module*& module = modules[m.path];
    if (module == nullptr) {
      module = report.add_modules();
      module->set_path(m.path);
      module->set_build_id(build_of(m.path));
      module->set_begin(m.begin);
    }
    module->set_end(m.end);
    record::Module::Mapping& mapping = *module->add_mappings();
    mapping.set_begin(m.begin);
    mapping.set_end(m.end);
    mapping.set_file_offset(m.offset);
    mapping.set_executable(m.executable);
  }
}

}  // namespace evenkeel::host
