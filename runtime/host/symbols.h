#pragma once
// Names for addresses in a replica, from its binaries' symbol tables: .symtab, else .dynsym, of the
// file or of its separate debug file.
#include <cstdint>
#include <optional>
#include <string>

#include "runtime/wire.h"

namespace evenkeel::host {

struct Symbol {
  std::string name;
  uint64_t offset = 0;  // of the address within it
  uint64_t bytes = 0;   // 0: not told
  // What the C++ standard library's headers made in this module.
  bool standard_library = false;
};

// A C++ name as it is written; any other as it is.
[[nodiscard]] std::string demangled(const char* name);

// Of what a file's segments put at `file_offset` (continued beyond the file's end for .bss).
[[nodiscard]] std::optional<Symbol> find_symbol(const std::string& path, uint64_t file_offset,
                                                bool code);

// Where the linker has put what stands at `file_offset`; absent: no such file or segment.
[[nodiscard]] std::optional<uint64_t> virtual_address(const std::string& path, uint64_t file_offset,
                                                      bool code);

// The linker's fingerprint of a file, in hexadecimal; empty: it has none, or cannot be read.
[[nodiscard]] std::string build_id(const std::string& path);

}  // namespace evenkeel::host
