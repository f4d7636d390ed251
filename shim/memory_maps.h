#pragma once
// /proc/PID/maps, line by line, without libc.
#include <cstddef>
#include <cstdint>

#include "runtime/core/sys.h"

namespace evenkeel::shim {

struct Mapping {
  uint64_t begin, end;
  uint64_t offset;
  bool readable, writable, executable, shared;
  uint64_t device, inode;  // device as stat() gives it
  const char* path;        // "" for anonymous memory
};

// Reads this process's file once; the text must outlive the reader's use. Returns its length; fatal
// if the buffer is too small.
size_t read_maps(char* buffer, size_t room);
// Parses the line at `at` (terminating its path in place); returns the next line, or null at the
// end.
char* parse_mapping(char* at, Mapping& out);

// Another process's mappings, however many; the path is valid during the visit.
sys::Result for_each_mapping(int pid, void (*visit)(void* context, const Mapping& mapping),
                             void* context);

}  // namespace evenkeel::shim
