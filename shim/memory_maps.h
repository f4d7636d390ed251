#pragma once
// /proc/self/maps, line by line, without libc.
#include <cstddef>
#include <cstdint>

namespace evenkeel::shim {

struct Mapping {
  uint64_t begin, end;
  uint64_t offset;
  bool readable, writable, executable, shared;
  const char* path;  // "" for anonymous memory
};

// Reads the file once; the text must outlive the reader's use. Returns its length; fatal if the
// buffer is too small.
size_t read_maps(char* buffer, size_t room);
// Parses the line at `at` (terminating its path in place); returns the next line, or null at the
// end.
char* parse_mapping(char* at, Mapping& out);

}  // namespace evenkeel::shim
