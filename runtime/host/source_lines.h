#pragma once
// Lines of source for the code in a record, from DWARF: of the module itself, its separate debug
// file
// (/usr/lib/debug, by build id), or a debuginfod server if DEBUGINFOD_URLS names one. Inlined
// functions are told apart. For the command line: the service never waits for it.
// Errors: a module that is gone, of another build or without debug information leaves its frames
// as they are.
#include <map>
#include <memory>
#include <string>

#include "runtime/host/report.pb.h"

struct Dwfl;
struct Dwfl_Module;

namespace evenkeel::host {

class SourceLines {
 public:
  SourceLines();

  // Fills in the locations of all frames.
  void resolve(record::Report& report);
  void resolve(record::Frame& frame);

 private:
  struct Module {
    std::unique_ptr<Dwfl, void (*)(Dwfl*)> session;
    Dwfl_Module* module;  // null: cannot be used
  };

  const Module& open(const std::string& path, const std::string& build_id);
  void resolve(record::Stack& stack);

  std::map<std::string, Module> modules_;  // by path and build id
};

// Of a frame that has locations: the innermost that is no header of the system's, if there is one.
[[nodiscard]] const record::Location& meant_location(const record::Frame& frame);

// "order_add  src/book.cc:88"; without lines "order_add+0x8 (book)", without symbols
// "book+0x1188  [addr2line -Cfie /usr/bin/book 0x401188]".
[[nodiscard]] std::string frame_text(const record::Frame& frame, const record::Location& location);
[[nodiscard]] std::string frame_text(const record::Frame& frame);
[[nodiscard]] std::string line_text(const record::Location& location);  // "src/book.cc:88"

}  // namespace evenkeel::host
