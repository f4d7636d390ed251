#pragma once
// Addresses of code in a replica, as places that survive the run: module, build and file offset.
// Threads: the coordinator's only one. Memory: a list of mappings, build ids and names seen so far.
// Errors: an address in no file has no place; a module without a build id is told apart by size and
// time of change.
#include <sys/types.h>

#include <cstdint>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "runtime/host/report.pb.h"

namespace evenkeel::host {

struct CodePlace {
  std::string module;  // path
  std::string build;
  uint64_t offset = 0;  // in the file
  friend bool operator==(const CodePlace&, const CodePlace&) = default;
};

class CodeMap {
 public:
  // Reads the mappings of a process. All replicas have the same: of one that has ended the last
  // reading stays good.
  void read(pid_t pid);
  // Another replica is to be asked from now on.
  void follow(pid_t pid) { pid_ = pid; }

  // Asks the process again if an address is not known yet: libraries are loaded late, too.
  [[nodiscard]] std::optional<CodePlace> place_of(uint64_t address);
  // Absent: the module is not mapped, or is of another build.
  [[nodiscard]] std::optional<uint64_t> address_of(const CodePlace& place);
  // The place with the name that its module's symbol table gives it. Of a return address the call
  // before it is named.
  [[nodiscard]] const record::Frame& frame_of(uint64_t address, bool return_address);
  // The frame is the standard library's, though it was compiled into the server.
  [[nodiscard]] bool in_standard_library(uint64_t address, bool return_address);
  // Of a file: its build id, or what tells it apart.
  const std::string& build_of(const std::string& path);
  // The files that are mapped.
  void add_modules(record::Report& report);

 private:
  // Names are looked up once; beyond this many the server makes code as it runs: begin anew.
  static constexpr size_t kMaxFrames = 65536;

  struct Mapping {
    uint64_t begin = 0;
    uint64_t end = 0;
    uint64_t offset = 0;
    bool executable = false;
    std::string path;
  };

  [[nodiscard]] const Mapping* find(uint64_t address) const;

  pid_t pid_ = -1;
  std::vector<Mapping> mappings_;  // of files
  std::map<std::string, std::string> builds_;
  std::map<uint64_t, record::Frame> frames_;  // by address, less 1 of a return address
  std::set<uint64_t> standard_library_;       // of these
};

}  // namespace evenkeel::host
