#pragma once
// What was learnt, kept in the state directory from run to run: STATE/NAME/mixer.learnt.
#include <filesystem>
#include <string>

#include "runtime/host/mixer/conflicts.h"

namespace evenkeel::host {

constexpr char kLearntExtension[] = ".learnt";
constexpr uint32_t kLearntVersion = 1;

// Nothing, and no complaint, if there is no file. A file that cannot be used is left alone, and
// teaches nothing.
void read_learnt(const std::filesystem::path& path, Conflicts& out, std::string& complaint);
// Replaces the file as a whole, mode 0600. False: it could not be written; the old one is unharmed.
[[nodiscard]] bool write_learnt(const std::filesystem::path& path, const Conflicts& conflicts);

}  // namespace evenkeel::host
