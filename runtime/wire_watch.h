#pragma once
// Accesses to chosen bytes, seen one by one. Included by runtime/wire.h only.
//
// A diagnosis executes a failed batch again with the pages of the bytes that differed made
// inaccessible: each access faults, is noted, and is let through by a single step. Threads run one
// at a time meanwhile, and may be made to change places after an access, as `seed` decides: that is
// where a race, if there is one, shows.
#include <atomic>
#include <cstdint>

namespace evenkeel::wire {

constexpr uint32_t kMaxWatched = 16;  // ranges; more: the first ones
// Accesses kept of an execution, the last ones; those before are only counted.
constexpr uint32_t kMaxAccesses = 2048;
// Of the stack, from the stack pointer upwards: enough for a few dozen frames of a server; what
// does not fit ends the stack in the report.
constexpr uint32_t kAccessStackBytes = 4096;
constexpr uint32_t kAccessValueBytes = 16;  // of a range, from its begin
constexpr uint32_t kAccessLocks = 8;        // held by the thread; more: the innermost are not told
constexpr uint32_t kDwarfRegisters = 17;    // x86-64 psABI figure 3.36: rax .. r15, return address

struct WatchedRange {
  uint64_t begin;
  uint64_t end;
};

struct Watch {  // written by the coordinator before a command with `watch`
  uint32_t count;
  uint32_t reserved;
  uint64_t seed;  // 0: threads do not change places
  WatchedRange ranges[kMaxWatched];
};

struct Access {
  uint64_t address;
  uint64_t registers[kDwarfRegisters];  // before the access, in DWARF's order
  uint32_t thread;
  uint32_t write;
  uint32_t range;    // index in Watch
  uint32_t runtime;  // 1: the virtual kernel's, on the thread's behalf
  uint8_t before[kAccessValueBytes];
  uint8_t after[kAccessValueBytes];
  uint64_t locks[kAccessLocks];  // their version words, as in the order log
  uint32_t lock_count;
  uint32_t position;  // ordered operations that the thread had done in this command
  uint32_t stack_bytes;
  uint32_t reserved;
  uint8_t stack[kAccessStackBytes];
};

constexpr uint32_t kMaxWritten = 1024;  // pages; more: the first ones

struct Accesses {
  uint32_t written_count;
  uint32_t reserved;
  uint64_t written[kMaxWritten];  // hashed pages, whether they came out different or not
  uint64_t count;                 // of the execution; number n is in list[n % kMaxAccesses]
  Access list[kMaxAccesses];
};

}  // namespace evenkeel::wire
