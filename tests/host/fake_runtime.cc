#include "tests/host/fake_runtime.h"

#include <link.h>
#include <linux/futex.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <climits>
#include <csignal>
#include <cstdlib>
#include <cstring>

// Stands for the server's globals; its name must appear in reports.
alignas(4096) uint64_t fake_shared_counter[512];

namespace evenkeel::fake {
namespace {

constexpr uint64_t kHeapPage = 0x1000'0000'0000;
constexpr uint64_t kObjectSequence = 5521;

uint64_t hash(const void* data, size_t bytes, uint64_t seed) {
  const auto* at = static_cast<const uint8_t*>(data);
  uint64_t value = seed ^ 0xcbf29ce484222325;
  for (size_t i = 0; i < bytes; ++i) value = (value ^ at[i]) * 0x100000001b3;
  return value;
}

wire::Token token_of(const void* data, size_t bytes) {
  return {hash(data, bytes, 1), hash(data, bytes, 2)};
}

void futex_wait(std::atomic<uint32_t>& word, uint32_t expected) {
  ::syscall(SYS_futex, reinterpret_cast<uint32_t*>(&word), FUTEX_WAIT, expected, nullptr, nullptr,
            0);
}
void futex_wake(std::atomic<uint32_t>& word) {
  ::syscall(SYS_futex, reinterpret_cast<uint32_t*>(&word), FUTEX_WAKE, INT_MAX, nullptr, nullptr,
            0);
}

wire::Deck& attach_deck() {
  const char* fd = std::getenv(wire::kEnvDeckFd);
  if (fd == nullptr) std::exit(99);
  void* at = ::mmap(reinterpret_cast<void*>(wire::kDeckAddress), sizeof(wire::Deck),
                    PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED_NOREPLACE, std::atoi(fd), 0);
  if (at == MAP_FAILED) std::exit(98);
  return *static_cast<wire::Deck*>(at);
}

uint32_t replica_index() {
  const char* index = std::getenv(wire::kEnvReplica);
  if (index == nullptr) std::exit(95);
  return static_cast<uint32_t>(std::atoi(index));
}

// Page 0 is the heap's, page 1 the global's.
uint64_t address(uint32_t page) {
  return page == 0 ? kHeapPage : reinterpret_cast<uint64_t>(fake_shared_counter);
}
const uint64_t* words(const State& state, uint32_t page) {
  return page == 0 ? state.heap : state.global;
}

}  // namespace

Runtime::Runtime() : deck_(attach_deck()), index_(replica_index()), me_(deck_.replicas[index_]) {
  ::ftruncate(deck_.boot.image_fd, sizeof(State)) == 0 ? void() : std::exit(97);
  void* image =
      ::mmap(nullptr, sizeof(State), PROT_READ | PROT_WRITE, MAP_SHARED, deck_.boot.image_fd, 0);
  shared_image_ = static_cast<State*>(image);
  name_regions();
  me_.pid = ::getpid();
  me_.attached.store(1, std::memory_order_release);
}

void Runtime::run() {
  uint32_t sequence = 1;
  if (me_.admission.load() == wire::kStarting) {
    sequence = join();
  } else {
    execute([this] { start_up(); });
  }
  publish(sequence);
  for (;;) {
    futex_wait(deck_.command_sequence, sequence);
    const uint32_t now = deck_.command_sequence.load(std::memory_order_acquire);
    if (now == sequence) continue;
    sequence = now;
    obey(sequence);
    publish(sequence);
  }
}

void Runtime::publish(uint32_t sequence) {
  me_.done_sequence.store(sequence);
  deck_.doorbell.fetch_add(1);
  bool last = true;
  for (uint32_t i = 0; i < wire::kMaxReplicas; ++i) {
    const bool lives = (deck_.live_mask.load() >> i & 1) != 0;
    last = last && (!lives || deck_.replicas[i].done_sequence.load() == sequence);
  }
  if (last && deck_.coordinator_sleeps.load() != 0) futex_wake(deck_.doorbell);
}

void Runtime::obey(uint32_t sequence) {
  const uint32_t flags = deck_.command.flags;
  used_ = 0;
  if (die_next_) ::raise(SIGKILL);
  if ((flags & wire::kAdopt) != 0) adopt(sequence);
  if ((flags & wire::kCommit) != 0) image_ = state_;
  if ((flags & wire::kRollback) != 0) {
    state_ = image_;
    me_.counters[wire::kCountRollbacks].fetch_add(1);
  }
  if ((flags & wire::kDescribe) != 0) describe();
  if ((flags & wire::kDump) != 0) dump();
  if ((flags & wire::kExecute) != 0) {
    begin_in_order(sequence);
    execute([this] { run_command(); });
  }
  if ((flags & wire::kExit) != 0) leave();
  if ((flags & wire::kJoin) != 0) {
    if (primary()) *shared_image_ = state_;
    begin_in_order(sequence);
  }
}

// Followers begin after the primary, as with a recorded order.
void Runtime::begin_in_order(uint32_t sequence) {
  if (primary()) {
    deck_.log_sequence.store(sequence, std::memory_order_release);
    return futex_wake(deck_.log_sequence);
  }
  for (;;) {
    const uint32_t now = deck_.log_sequence.load(std::memory_order_acquire);
    if (now == sequence || deck_.primary_lost.load(std::memory_order_acquire) == sequence) return;
    futex_wait(deck_.log_sequence, now);
  }
}

void Runtime::adopt(uint32_t sequence) {
  if (primary()) {
    *shared_image_ = state_;
  }
  begin_in_order(sequence);
  state_ = *shared_image_;
  image_ = state_;
}

// kBadJoins counts on: the coordinator does not reset counters when it replaces a replica.
uint32_t Runtime::join() {
  constexpr uint32_t kBadJoins = wire::kCounters - 1;
  me_.admission.store(wire::kReady);
  while (me_.admission.load() != wire::kAdmitted) futex_wait(me_.admission, wire::kReady);
  const uint32_t sequence = me_.join_sequence;
  for (uint32_t now; (now = deck_.command_sequence.load()) != sequence;) {
    futex_wait(deck_.command_sequence, now);
  }
  begin_in_order(sequence);
  if (deck_.log_sequence.load() != sequence) ::raise(SIGKILL);  // who had the state has died
  state_ = *shared_image_;
  image_ = state_;
  if (me_.counters[kBadJoins].fetch_add(1) < state_.bad_joins) ::raise(SIGKILL);
  me_.result = deck_.replicas[deck_.command.primary].result;
  return sequence;
}

void Runtime::leave() {
  if (deck_.command.exit_signal != 0) {
    ::signal(deck_.command.exit_signal, SIG_DFL);
    ::raise(deck_.command.exit_signal);
  }
  ::_exit(deck_.command.exit_status);
}

template <typename Work>
void Runtime::execute(Work work) {
  wire::Result result{};
  result.status = wire::Status::kQuiescent;
  choked_ = false;
  try {
    work();
  } catch (const Quit& quit) {
    result.status = wire::Status::kExited;
    result.exit_status = quit.status;
    result.exit_signal = quit.signal;
  } catch (const Fault& fault) {
    result.status = wire::Status::kFault;
    result.fault_signal = fault.signal;
    result.fault_code = reinterpret_cast<uint64_t>(&token_of);
  } catch (const wire::Status& status) {
    result.status = status;
  }
  me_.counters[wire::kCountBatches].fetch_add(1);
  finish(result);
}

void Runtime::finish(wire::Result& result) {
  result.choked = choked_ ? 1 : 0;
  result.output_bytes = used_;
  result.root =
      token_of(reinterpret_cast<uint8_t*>(&state_) + offsetof(State, heap), kComparedBytes);
  result.outputs = token_of(deck_.outputs[index_], used_);
  result.dirty_pages = changed(0) + changed(1);
  const uint64_t parts[] = {state_.token.low, result.root.low, result.outputs.low,
                            deck_.command.batch};
  state_.token = token_of(parts, sizeof parts);
  result.token = state_.token;
  if (deck_.command.forced_mismatch != 0 && !primary()) result.token.low ^= 1;
  result.next_deadline_ns = UINT64_MAX;
  for (const Timer& timer : state_.timers) {
    if (timer.action == TimerAction::kNone) continue;
    result.next_deadline_ns = std::min(result.next_deadline_ns, timer.deadline_ns);
  }
  me_.result = result;
}

uint32_t Runtime::changed(uint32_t page) const {
  return std::memcmp(words(state_, page), words(image_, page), 4096) != 0 ? 1 : 0;
}

void Runtime::describe() {
  uint32_t count = 0;
  for (uint32_t page = 0; page < 2; ++page) {
    if (changed(page) == 0) continue;
    me_.report.leaves[count++] = {address(page), token_of(words(state_, page), 4096)};
  }
  me_.report.leaf_count = count;
}

void Runtime::dump() {
  for (uint32_t i = 0; i < deck_.command.dump_count; ++i) {
    wire::PageDump& out = me_.report.dumps[i];
    out.page = deck_.dump_pages[i];
    const uint32_t page = out.page == kHeapPage ? 0 : 1;
    std::memcpy(out.bytes, words(state_, page), 4096);
    out.object_count = page == 0 ? 1 : 0;
    out.objects[0] = {kHeapPage, 96, 3, 0, kObjectSequence};
  }
}

void Runtime::name_regions() {
  wire::Region& region = me_.regions[0];
  region = {};
  region.begin = address(1);
  region.end = region.begin + 4096;
  region.kind = wire::RegionKind::kHashed;
  if (::readlink("/proc/self/exe", region.name, sizeof region.name - 1) < 0) std::exit(96);
  ::dl_iterate_phdr(
      [](dl_phdr_info* info, size_t, void* out) {
        auto& found = *static_cast<wire::Region*>(out);
        for (int i = 0; i < info->dlpi_phnum; ++i) {
          const ElfW(Phdr)& segment = info->dlpi_phdr[i];
          const uint64_t offset = found.begin - info->dlpi_addr - segment.p_vaddr;
          if (segment.p_type == PT_LOAD && offset < segment.p_memsz) {
            found.file_offset = segment.p_offset + offset;
          }
        }
        return 1;  // the executable comes first
      },
      &region);
  me_.region_count.store(1);
}

wire::ExternalCall& Runtime::ask(wire::ExternalOp op, wire::Channel channel, int64_t value,
                                 const void* in, uint32_t bytes) {
  wire::ExternalCall& call = me_.external;
  call.op = op;
  call.thread = 1;
  call.index = state_.external_index++;
  call.channel = channel;
  call.value = value;
  call.in_bytes = bytes;
  std::memcpy(call.in, in, bytes);
  call.state.store(1, std::memory_order_release);
  deck_.doorbell.fetch_add(1);
  if (deck_.coordinator_sleeps.load() != 0) futex_wake(deck_.doorbell);
  while (call.state.load(std::memory_order_acquire) == 1) futex_wait(call.state, 1);
  call.state.store(0);
  return call;
}

void Runtime::output(wire::OutputKind kind, wire::Channel channel, std::string_view payload) {
  const wire::OutputRecord record{kind, static_cast<uint32_t>(payload.size()), channel};
  uint8_t* at = deck_.outputs[index_] + used_;
  std::memcpy(at, &record, sizeof record);
  std::memcpy(at + sizeof record, payload.data(), payload.size());
  const size_t padded = (payload.size() + 7) & ~size_t{7};
  std::memset(at + sizeof record + payload.size(), 0, padded - payload.size());
  used_ += sizeof record + padded;
}

}  // namespace evenkeel::fake
