#pragma once
// Who acquired which lock, in what order, on behalf of which input: the raw material of the
// serializability guard (runtime/guard). Written by the primary while a parallel group runs, read
// and cleared by the pump when it is quiescent.
//
// A thread works for the connection that it read from last, until it waits for something new to do
// (or, if it read from none, for the one that it writes to). Acquisitions by a thread that works
// for no connection are not kept.
//
// Threads: each carrier appends to its own log, without a lock.
// Memory:  runtime memory, mapped once: kMaxAcquisitions records per carrier.
// Errors:  a full log says so; what did not fit is lost.
#include <cstdint>

#include "runtime/sched/carrier.h"
#include "runtime/sched/lanes.h"
#include "runtime/sched/thread.h"
#include "runtime/wire.h"

namespace evenkeel::sched {

// Per carrier and group, 32,768 x 40 B = 1.25 MiB: 16-deep pipelines on 200 connections of
// memcached at ten locks a request. More: the group is not checked, and counted.
constexpr uint32_t kMaxAcquisitions = 32768;

struct Acquisition {
  uint64_t lock;  // address of its version word
  uint64_t code;  // return address of the locking function
  wire::Channel input;
  uint32_t depth;    // bytes from the call's frame to the end of the stack
  uint32_t version;  // of the lock, 24 bits that wrap around: equal only among readers
  uint32_t thread;
  uint32_t shared;  // 1: a reader's
};

struct AcquisitionLog {
  Acquisition* records;
  uint32_t count;
  bool full;
};

// After init_threads(), by the pump's initialisation; not called: nothing is ever watched.
void init_acquisitions(uint32_t carriers);
// Pump only, at quiescence; clears the logs.
void watch_acquisitions(bool on);
void clear_acquisitions();
[[nodiscard]] uint32_t acquisition_logs();
[[nodiscard]] const AcquisitionLog& acquisition_log(uint32_t carrier);

extern bool g_watching;
[[nodiscard]] inline bool watching() { return g_watching; }

void append_acquisition(const uint32_t& version, bool shared);

// By the exported locking functions: where the application called.
inline void note_call_site(const void* code, const void* frame) {
  if (!watching()) return;
  Thread& me = self();
  me.call_code = reinterpret_cast<uint64_t>(code);
  me.call_frame = reinterpret_cast<uint64_t>(frame);
}

// After an acquisition, by its owner; `version` is the lock's version word.
inline void acquired(const uint32_t& version, bool shared) {
  if (watching()) append_acquisition(version, shared);
}

inline void begin_input(wire::Channel channel) { self().input = channel; }
inline void end_input() {
  if (!started()) return;
  self().input = 0;
  return_lane();
}

}  // namespace evenkeel::sched
