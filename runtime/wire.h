#pragma once
// The deck: the one memory that the coordinator and the replicas share, and the protocol on it.
// Hosted code sees the injected side only through this file.
//
// One memfd, mapped at kDeckAddress in every replica and anywhere in the coordinator. Fixed-width
// fields, no pointers, reserved bytes zero. Everything is bounded; what happens at a bound is said
// beside its constant.
//
// Life of a batch (numbers are commands, one command at a time):
//   coordinator  fills inputs and `command`, then command_sequence += 1 (release), wakes.
//   replica      sees the new sequence (acquire), obeys the flags in the order of their values,
//                publishes `result` and then done_sequence = command_sequence (release), rings the
//                doorbell.
//   coordinator  waits until every live replica is done (acquire), compares, decides.
// The first command of a replica is implicit: it runs the server's start-up until it is quiescent
// and reports done_sequence = 1; the coordinator's command_sequence starts at 1.
// A decision travels with the next command: kCommit (agreed) or kRollback (not agreed), together
// with kExecute. Outputs of an agreed command are released by the coordinator before it reuses the
// input area; a replica resets its output area when the next command arrives.
#include <atomic>
#include <cstdint>
#include <type_traits>

#include "runtime/wire_files.h"
#include "runtime/wire_guard.h"
#include "runtime/wire_order.h"
#include "runtime/wire_state.h"
#include "runtime/wire_waits.h"
#include "runtime/wire_watch.h"

namespace evenkeel::wire {

constexpr uint64_t kMagic = 0x6c65656b6e657645;  // "Evenkeel"
constexpr uint32_t kVersion = 3;
constexpr uint64_t kDeckAddress = 0x3000'0000'0000;

// Environment that the coordinator gives to a replica; the preloaded library removes all of it, and
// itself from LD_PRELOAD, before the server's main runs.
constexpr char kEnvDeckFd[] = "EVENKEEL_DECK_FD";   // decimal fd of the deck
constexpr char kEnvReplica[] = "EVENKEEL_REPLICA";  // decimal index
constexpr char kEnvTarget[] = "EVENKEEL_TARGET";    // base name of the server, or absent: the first

constexpr uint32_t kMaxReplicas = 8;        // more: refused by the command line
constexpr uint32_t kMaxInputs = 16384;      // more: the rest waits for the next batch
constexpr uint64_t kInputBytes = 16 << 20;  // more: the rest waits for the next batch
// A connection's data per batch. A larger request arrives as several batches, as TCP would have it.
constexpr uint32_t kInputBytesPerChannel = 256 << 10;
// What a connection may have written but not yet handed to the client's socket. Beyond it write()
// is partial, then EAGAIN or blocking, and EPOLLOUT is off until the client reads.
constexpr uint32_t kSendWindowBytes = 256 << 10;
// What a connection may hold unread in the replica before it asks for kPauseInput.
constexpr uint32_t kReceiveWindowBytes = 1 << 20;
constexpr uint64_t kOutputBytes = uint64_t{1} << 30;  // sparse; full: the window of all is closed
constexpr uint32_t kMaxLeaves = 65536;  // changed pages listed in a report; more: truncated flag
constexpr uint32_t kMaxDumpPages = 64;  // pages shown whole in a report
constexpr uint32_t kMaxObjects = 64;    // heap objects shown per dumped page
constexpr uint32_t kMaxNamedObjects = 1024;  // more: not named
constexpr uint32_t kMaxRegions = 1024;       // memory regions named for reports; more: not named
constexpr uint32_t kMaxSyscalls = 512;       // x86-64 has fewer
constexpr uint32_t kMaxUnhandledNames = 64;  // unsupported uses that are not a whole syscall
constexpr uint32_t kExternalBytes = 4096;    // payload of an external call, each way

enum class Order : uint32_t { kRecorded = 0, kIndependent = 1 };
enum class Follower : uint32_t { kSerial = 0, kParallel = 1 };
enum class Mode : uint32_t { kParallel = 0, kSequential = 1 };
enum class Tracker : uint32_t { kAuto = 0, kUserfaultfd = 1, kMprotect = 2 };

// 128 bits of XXH3. {0, 0} is the token before the first batch.
struct Token {
  uint64_t low;
  uint64_t high;
  friend constexpr bool operator==(const Token&, const Token&) = default;
};

struct SocketAddress {
  uint32_t bytes;  // of data that are valid; 0: none
  uint32_t reserved;
  uint8_t data[128];  // struct sockaddr_storage
};

// ---------------------------------------------------------------- inputs

// A channel is one connection, numbered by the coordinator: never 0, never reused, below
// kVirtualSocketBase. The low kChannelSlotBits are small dense numbers that are reused, so they
// serve as a table index; the bits above tell the users of one slot apart. An input may name a
// channel that an earlier command of the same batch has closed: it is ignored.
using Channel = uint64_t;
constexpr uint32_t kChannelSlotBits = 20;  // 1,048,576 connections at once; more: not accepted yet

enum class InputKind : uint32_t {
  kOpened = 1,     // accepted on `listener`; payload: OpenedPayload
  kData = 2,       // payload: the bytes
  kEof = 3,        // the peer shut down its sending side
  kReset = 4,      // the connection is gone; `value` is the errno a read returns (ECONNRESET)
  kBacklog = 5,    // `value` bytes of released output wait in the coordinator for a slow client;
                   // sent when the number leaves zero, grows with a batch's output, falls by
                   // half, or returns to zero. Not sent: all that was released has been taken
  kConnected = 6,  // an outbound connect() finished; `value` is 0 or its errno
  kSignal = 7,     // `value` is the signal number; its own parallel group
};

struct Input {
  InputKind kind;
  uint32_t group;  // parallel group within the batch, from 0, ascending
  Channel channel;
  uint64_t offset;    // of the payload in the input area
  uint32_t bytes;     // of the payload
  uint32_t listener;  // kOpened: the id that kListen returned
  int64_t value;
};

struct OpenedPayload {
  SocketAddress peer;
  SocketAddress local;
};

// ---------------------------------------------------------------- commands

enum CommandFlag : uint32_t {
  // A leak: everybody takes the state of `primary` (rollback first, then copy), which thereby is
  // agreed and becomes the image: neither kCommit nor kRollback follows. A command of its own.
  kAdopt = 1 << 0,
  kCommit = 1 << 1,    // the state reached by the last execution is agreed: make it the image
  kRollback = 1 << 2,  // restore the image
  // List the pages changed since the image in the report area. kDescribe and kDump come in commands
  // of their own, before the kRollback that drops what they describe.
  kDescribe = 1 << 3,
  kDump = 1 << 4,     // copy the pages named in dump_pages, with their objects, to the report area
  kExecute = 1 << 5,  // run the expired timers, then inputs [first_input, first_input+input_count)
  kExit = 1 << 6,     // leave by _exit(exit_status) or exit_signal
  // A replacement takes the state of `primary`, which all others have committed (kCommit may come
  // with it); `joiner` names it. No execution.
  kJoin = 1 << 7,
  // The primary leaves a copy of itself behind, a process that only keeps the memory as it is after
  // kRollback: Replica::frozen_pid.
  kFreeze = 1 << 8,
};

struct Command {
  uint32_t flags;
  uint32_t primary;       // replica whose order is recorded and whose outputs are released
  uint64_t batch;         // number, from 1 (start-up is batch 0); the same for re-executions
  uint64_t monotonic_ns;  // the batch's CLOCK_MONOTONIC; never goes back
  uint64_t realtime_ns;   // the batch's CLOCK_REALTIME
  uint64_t cpu_ns;        // what CPU clocks and getrusage report
  uint64_t seed;          // of getrandom and /dev/urandom in this batch
  uint32_t first_input;
  uint32_t input_count;
  uint32_t sequential;       // 1: one thread at a time in every replica, no order log
  uint32_t forced_mismatch;  // test hook: number of times to report a token that is wrong
  int32_t exit_status;
  int32_t exit_signal;
  uint32_t dump_count;
  // 1: a crash is not masked: the process dies by it, with the core that the bare server would
  // leave. For a run that ends anyhow.
  uint32_t let_crash;
  // Test hook: not 0: in `crash_replica`, the thread that makes the crash_call-th system call of
  // the execution jumps to a bad address instead.
  uint32_t crash_call;
  uint32_t crash_replica;
  // 1: a deadlock is left standing, as the bare server would: kQuiescent.
  uint32_t let_deadlock;
  uint32_t joiner;  // kJoin: index of the replacement
  // 1: the order log is complete already: everybody follows it, nobody records.
  uint32_t follow_log;
  // 1: the primary runs one thread at a time and notes accesses to Deck::watch.
  uint32_t watch;
};

// ---------------------------------------------------------------- results

enum class Status : uint32_t {
  kStarting = 0,
  kQuiescent = 1,  // token is valid
  kDiverged = 2,   // a follower met an operation that its order log does not have: stopped early
  kExited = 3,     // the server ended: exit_status or exit_signal; outputs are valid
  kDaemonise = 4,  // the server called fork() before it listened: see README of runtime/kernel
  kFault = 5,      // fault_signal at fault_address
  kDeadlock = 6,   // Replica::waits is the cycle
  kHang = 7,       // stopped on the coordinator's request (stop_sequence); see Replica::caught
};

struct Result {
  Status status;
  // 1: a connection filled its window by this execution's own output: run another batch at once.
  // Not for a window that is closed only because of kBacklog: its falling brings the next batch.
  uint32_t choked;
  Token token;  // chained: previous token, Merkle root, outputs, batch
  Token root;
  Token outputs;
  uint64_t next_deadline_ns;  // CLOCK_MONOTONIC of the earliest timer; UINT64_MAX: none
  uint64_t output_bytes;      // used in the output area
  uint32_t dirty_pages;       // hashed pages that differ from the image
  int32_t exit_status;
  int32_t exit_signal;
  int32_t fault_signal;
  uint64_t fault_address;
  uint64_t fault_code;  // instruction pointer
  uint32_t fault_thread;
  // kDiverged: thread `log_thread` was about to do `log_tag` (sched::Tag; 0: unknown) on the object
  // whose version word is at `log_object` and has come to `log_version`, where its log has
  // `log_entry` as number `log_index`; 0: the primary's log ends there.
  uint32_t log_thread;
  uint64_t log_index;
  uint64_t log_object;
  uint32_t log_entry;
  uint32_t log_tag;
  uint32_t log_version;
  uint32_t reserved;
};

enum Counter : uint32_t {  // cumulative; times in nanoseconds of CLOCK_MONOTONIC
  kCountBatches = 0,       // commands with kExecute
  kCountDirtyPages,        // pages found written, all kinds
  kCountUnchangedPages,    // of those, equal to the image
  kCountHotPages,          // pages left unprotected, summed over batches
  kCountOrderedOps,
  kCountSwitches,         // context switches between application threads
  kCountDispatchedCalls,  // system calls that arrived by SIGSYS
  kCountRollbacks,
  kCountLogOverflows,
  kTimeExecute,  // groups running
  kTimeLogWait,  // follower asleep because the primary has not got there
  kTimeScan,
  kTimeHash,
  kTimeCommit,
  kTimeRollback,
  kTimeIdle,  // waiting for a command
  kCounters = 32,
};

// ---------------------------------------------------------------- outputs

enum class OutputKind : uint32_t {
  kData = 1,           // bytes to the client
  kShutdownWrite = 2,  // half-close
  kClose = 3,
  kAbort = 4,       // close with reset (SO_LINGER 0, or unread data)
  kStdio = 5,       // channel is the fd (1 or 2), payload the bytes
  kSyslog = 6,      // one datagram to /dev/log
  kOption = 7,      // setsockopt on the real socket; payload: level, name (int32 each), value
  kUnlisten = 8,    // channel is the listener id
  kPauseInput = 9,  // the server does not read this channel (kReceiveWindowBytes unread): the
                    // coordinator stops reading from the client until kResumeInput
  kResumeInput = 10,
};

// In the output area, in the order of issue; each record's payload is padded to 8 bytes.
struct OutputRecord {
  OutputKind kind;
  uint32_t bytes;  // of the payload that follows
  uint64_t channel;
};

// ---------------------------------------------------------------- external calls

// A call whose effect or answer lies outside the replica, executed once by the coordinator however
// many replicas ask, and not again when the batch is rolled back: the answer is remembered under
// (thread, index) until the batch commits. A replica that asks with other arguments has diverged
// (answer: -ESTALE).
enum class ExternalOp : uint32_t {
  kBind = 1,     // channel: virtual socket id; in: BindArguments; out: SocketAddress really bound
  kListen = 2,   // channel: virtual socket id; value: backlog; result: listener id >= 1
  kConnect = 3,  // channel: virtual socket id; in: BindArguments; out: SocketAddress local;
                 // result 0 or -errno; -EINPROGRESS: kConnected follows on that channel
  kForget = 4,   // channel: virtual socket id that was closed before it listened or connected
};

// Virtual socket ids are chosen by the replicas (deterministically), above every channel number.
constexpr Channel kVirtualSocketBase = Channel{1} << 62;

struct BindArguments {
  int32_t domain;  // AF_INET, AF_INET6, AF_UNIX
  int32_t type;    // SOCK_STREAM
  int32_t protocol;
  uint32_t option_count;
  SocketAddress address;
  struct Option {  // set on the real socket before bind or connect
    int32_t level;
    int32_t name;
    uint32_t bytes;
    uint8_t value[52];
  } options[16];  // more: the first 16 are applied, the others only remembered
};

struct ExternalCall {
  // 0 free, 1 posted by the replica (release), 2 answered by the coordinator (release). Futex.
  std::atomic<uint32_t> state;
  ExternalOp op;
  uint32_t thread;
  uint32_t index;  // per thread, restarts at a rollback
  Channel channel;
  int64_t value;
  int64_t result;
  uint32_t in_bytes;
  uint32_t out_bytes;
  uint8_t in[kExternalBytes];
  uint8_t out[kExternalBytes];
};

// ---------------------------------------------------------------- reports

struct Leaf {
  uint64_t page;  // address
  Token hash;
};

struct HeapObject {
  uint64_t base;
  uint64_t bytes;  // as requested
  uint32_t lane;
  uint32_t freed;     // 1: no longer allocated
  uint64_t sequence;  // allocation number within the lane
};

struct PageDump {
  uint64_t page;
  uint32_t object_count;
  uint32_t objects_truncated;
  HeapObject objects[kMaxObjects];
  uint8_t bytes[4096];
};

// An object that the server has named, see annotate.h.
struct NamedObject {
  uint64_t begin;
  uint64_t bytes;
  char label[48];  // zero-terminated
};

struct Report {
  uint32_t leaf_count;
  uint32_t leaves_truncated;
  Leaf leaves[kMaxLeaves];  // hashed pages that differ from the image, by address
  PageDump dumps[kMaxDumpPages];
  uint32_t named_count;
  NamedObject named[kMaxNamedObjects];
};

enum class RegionKind : uint32_t { kHashed = 1, kTracked = 2 };

struct Region {
  uint64_t begin;
  uint64_t end;
  uint64_t file_offset;  // of begin in the file `name`; for symbols
  RegionKind kind;
  uint32_t reserved;
  char name[232];  // path of the object, or "heap", "maps", "stacks"...; cut if longer
};

// ---------------------------------------------------------------- the deck

struct UnhandledName {
  std::atomic<uint64_t> count;
  char name[56];  // set once, before count leaves 0
};

// A thread that was stopped, and where.
struct Caught {
  uint64_t code;  // instruction pointer
  uint32_t thread;
  uint32_t reserved;
};
constexpr uint32_t kMaxCaught = 16;  // more: not listed

// A replacement of a lost replica runs no start-up: parked in its pump it waits to be admitted.
enum Admission : uint32_t {
  kOriginal = 0,  // no replacement: started with all the others
  kStarting = 1,  // stored by the coordinator before it starts the process
  kReady = 2,     // by the replacement; it rings the doorbell
  kAdmitted = 3,  // by the coordinator, which has stored join_sequence: command kJoin follows
};

struct Replica {
  alignas(64) std::atomic<uint32_t> done_sequence;  // release; see "Life of a batch"
  std::atomic<uint32_t> attached;   // 1 once the library runs in the server (after any wrapper)
  int32_t pid;                      // of the server process, valid when attached
  std::atomic<uint32_t> admission;  // Admission; a futex; release and acquire
  uint32_t join_sequence;           // number of the command that admits it
  uint64_t layout;                  // equal where the runtime has placed everything alike
  std::atomic<uint32_t> carrier_count;
  int32_t carrier_tid[60];  // kernel threads, for the watchdog's signal
  // The watchdog's signal (SIGURG) to a carrier asks it to let another thread run, if any is ready;
  // or, if this is the number of the command under way, to end its execution: Status::kHang.
  std::atomic<uint32_t> stop_sequence;
  std::atomic<uint32_t> caught_count;
  Caught caught[kMaxCaught];
  alignas(64) Result result;
  GuardResult guard;
  Waits waits;
  int32_t frozen_pid;  // kFreeze: of the copy; < 0: -errno
  uint32_t frozen_reserved;
  Token frozen_token;  // of the state it keeps
  alignas(64) std::atomic<uint64_t> counters[kCounters];
  alignas(64) ExternalCall external;
  std::atomic<uint64_t> unhandled_syscalls[kMaxSyscalls];
  UnhandledName unhandled_names[kMaxUnhandledNames];
  std::atomic<uint32_t> region_count;
  Region regions[kMaxRegions];
  Report report;
  Accesses accesses;
};

struct Boot {  // written by the coordinator before any replica starts, constant afterwards
  uint64_t magic;
  uint32_t version;
  uint32_t replica_count;
  Order order;
  Follower follower;
  Mode mode;
  Tracker tracker;
  int32_t reported_pid;  // what getpid() returns: the coordinator's
  int32_t reported_ppid;
  uint64_t monotonic_ns;  // time during start-up
  uint64_t realtime_ns;
  uint64_t seed;
  uint64_t hang_timeout_ns;
  uint32_t daemonised;  // 1: fork() of the starting server returns 0 in the one process there is
  uint32_t carriers;    // kernel threads of a parallel replica; 0: number of processors
  int32_t image_fd;     // memfd of the shared committed image, inherited
  uint32_t verify;      // 0: no comparison and no hashing (one replica)
  Guard guard;
  // 1: an execution for its own sake, from a stored state: nothing may reach files, and answers
  // that the state does not hold are refused.
  uint32_t offline;
  int32_t state_fd;  // offline: file of the state that replicas start from, inherited
  // Errors put into the grouping of annotated requests, for experiments: one in N; 0: none.
  uint32_t false_conflicts;
  uint32_t missed_conflicts;
  uint32_t reserved[5];
};

struct Deck {
  Boot boot;

  // All futexes. Sequences wrap around: compare for equality only.
  alignas(64) std::atomic<uint32_t> command_sequence;
  alignas(64) std::atomic<uint32_t> doorbell;  // bumped by replicas: result or external
  std::atomic<uint32_t> coordinator_sleeps;    // 1: ringing must wake
  // The primary, or its successor if it died before, has committed and begun command
  // `log_sequence`: followers start after it, because they share its image and read its log.
  alignas(64) std::atomic<uint32_t> log_sequence;
  // Bumped whenever the primary becomes quiescent in a group: its log will not grow for a while.
  // log_waiters counts followers that sleep on it: nobody sleeps, nobody needs a wake-up call.
  alignas(64) std::atomic<uint32_t> log_quiet;
  std::atomic<uint32_t> log_waiters;
  // Bit i: replica i is alive as far as the coordinator knows. A replica that has published its
  // result needs to wake the coordinator (it always bumps the doorbell) only if now every replica
  // of the mask is done; both sides sequentially consistent, so that the last one sees it.
  alignas(64) std::atomic<uint32_t> live_mask;
  // command_sequence of the command during which the primary died; 0 before the first time. Stored
  // (release) after command.primary was set to the successor, and before log.overflow is set and
  // log_sequence and log_quiet are woken. A replacement that finds no successor gives up: nobody
  // has the state any more.
  std::atomic<uint32_t> primary_lost;

  alignas(64) Command command;
  uint64_t dump_pages[kMaxDumpPages];
  Input inputs[kMaxInputs];
  alignas(4096) uint8_t input_bytes[kInputBytes];
  LearntTable learnt;
  Watch watch;
  alignas(4096) Replica replicas[kMaxReplicas];
  alignas(4096) OrderLog log;
  alignas(4096) FileMemos files;
  alignas(4096) uint8_t outputs[kMaxReplicas][kOutputBytes];
};

static_assert(std::atomic<uint64_t>::is_always_lock_free);
static_assert(std::is_trivially_copyable_v<Command> && sizeof(Command) == 104);
static_assert(std::is_trivially_copyable_v<Input> && sizeof(Input) == 40);
static_assert(std::is_trivially_copyable_v<Result> && sizeof(Result) == 144);
static_assert(std::is_trivially_copyable_v<OutputRecord> && sizeof(OutputRecord) == 16);
static_assert(std::is_standard_layout_v<Deck>);

}  // namespace evenkeel::wire
