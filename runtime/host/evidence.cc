#include "runtime/host/evidence.h"

#include <fmt/format.h>

#include <algorithm>
#include <csignal>
#include <cstring>
#include <map>
#include <optional>
#include <set>

#include "runtime/host/clock.h"
#include "runtime/host/operations.h"
#include "runtime/host/output_streams.h"
#include "runtime/host/symbols.h"

namespace evenkeel::host {
namespace {

constexpr uint64_t kPageBytes = 4096;
constexpr uint64_t kPageMask = ~(kPageBytes - 1);
// Differing bytes closer than this are shown as one range.
constexpr uint64_t kJoinBytes = 8;

const char* kind_name(wire::InputKind kind) {
  switch (kind) {
    case wire::InputKind::kOpened:
      return "opened";
    case wire::InputKind::kData:
      return "data";
    case wire::InputKind::kEof:
      return "eof";
    case wire::InputKind::kReset:
      return "reset";
    case wire::InputKind::kBacklog:
      return "backlog";
    case wire::InputKind::kConnected:
      return "connected";
    case wire::InputKind::kSignal:
      return "signal";
  }
  return "unknown";
}

std::string token_text(const wire::Token& token) {
  return fmt::format("{:016x}{:016x}", token.high, token.low);
}

// Who has which value, the value of the lowest replica first.
void group(record::Difference& difference,
           const std::vector<std::pair<uint32_t, std::string>>& values) {
  for (const auto& [replica, data] : values) {
    record::Value* same = nullptr;
    for (record::Value& value : *difference.mutable_values()) {
      if (value.data() == data) same = &value;
    }
    if (same == nullptr) {
      same = difference.add_values();
      same->set_data(data);
    }
    same->add_replicas(replica);
  }
}

void add_leaf(Report& report, uint64_t page,
              const std::vector<std::pair<uint32_t, wire::Token>>& hashes) {
  record::MerkleTree::Leaf& leaf = *report.mutable_tree()->add_leaves();
  leaf.set_page(page);
  for (const auto& [replica, hash] : hashes) {
    record::MerkleTree::Leaf::Digest& digest = *leaf.add_digests();
    digest.set_replica(replica);
    digest.set_hash(token_text(hash));
  }
}

}  // namespace

PageHashes hashes_that_differ(const wire::Deck& deck, uint32_t live_mask) {
  PageHashes pages;
  for_each_bit(live_mask, [&](uint32_t i) {
    const wire::Report& listed = deck.replicas[i].report;
    const uint32_t count = std::min(listed.leaf_count, wire::kMaxLeaves);
    for (uint32_t k = 0; k < count; ++k) {
      pages[listed.leaves[k].page].emplace_back(i, listed.leaves[k].hash);
    }
  });
  const auto live = static_cast<size_t>(__builtin_popcount(live_mask));
  std::erase_if(pages, [live](const auto& entry) {
    const auto& hashes = entry.second;
    const auto differs = [&](const auto& seen) { return !(seen.second == hashes[0].second); };
    // Changed here but not there is a difference too.
    return hashes.size() == live && std::none_of(hashes.begin(), hashes.end(), differs);
  });
  return pages;
}

Report Evidence::collect_silently(record::Kind kind, const Batch* batch) {
  Report report;
  report.set_kind(kind);
  *report.mutable_run() = run_;
  report.mutable_run()->set_pid(deck_.boot.reported_pid);
  report.set_batch(executor_.batch());
  report.set_realtime_ns(deck_.command.realtime_ns);
  report.set_primary(replicas_.primary());
  code_.follow(replicas_.server_pid(replicas_.primary()));
  code_.add_modules(report);
  add_replicas(report);
  add_operations(report, deck_, deck_.command_sequence.load());
  if (batch != nullptr) add_inputs(report, *batch);
  return report;
}

Report Evidence::collect(record::Kind kind, const Batch* batch) {
  const uint64_t started = monotonic_ns();
  Report report = collect_silently(kind, batch);
  add_outputs(report);
  add_memory(report);
  add_waits(report);
  report.mutable_timings()->set_evidence_ns(monotonic_ns() - started);
  return report;
}

Report Evidence::collect_waits(record::Kind kind, const Batch& batch) {
  Report report = collect_silently(kind, &batch);
  add_waits(report);
  return report;
}

// Of the first replica that is deadlocked; else of the primary, if it has been told what to look
// for.
void Evidence::add_waits(Report& report) {
  const bool deadlock = report.kind() == record::DEADLOCK;
  if (!deadlock && report.kind() != record::LOST_WAKEUP) return;
  uint32_t source = report.primary();
  for_each_bit(replicas_.live_mask(), [&](uint32_t i) {
    const bool stuck = executor_.result(i).status == wire::Status::kDeadlock;
    if (stuck && executor_.result(source).status != wire::Status::kDeadlock) source = i;
  });
  const wire::Waits& waits = deck_.replicas[source].waits;
  *report.mutable_waits() = view_waits(waits);
  report.set_waits_truncated(waits.truncated != 0);
  name_waits(*report.mutable_waits());
}

void Evidence::name_waits(WaitList& waits) {
  std::vector<uint64_t> pages;
  for (const record::Wait& wait : waits) pages.push_back(wait.object() & kPageMask);
  std::sort(pages.begin(), pages.end());
  pages.erase(std::unique(pages.begin(), pages.end()), pages.end());
  executor_.dump(pages);
  for (record::Wait& wait : waits) {
    // The word of a thread that has a name.
    if (static_cast<wire::WaitKind>(wait.kind()) == wire::WaitKind::kJoin) continue;
    const auto [object, offset] = name_place(wait.object());
    const std::string place = place_of(object);
    wait.set_place(offset == 0 ? place : fmt::format("{}, at byte {}", place, offset));
    *wait.mutable_named() = object;
  }
}

std::string Evidence::status_text(uint32_t replica) {
  const wire::Result& result = executor_.result(replica);
  switch (result.status) {
    case wire::Status::kQuiescent:
      return "quiescent";
    case wire::Status::kDiverged:
      return "left the recorded order" + contradiction_text(result);
    case wire::Status::kExited:
      return result.exit_signal != 0 ? fmt::format("ended by signal {}", result.exit_signal)
                                     : fmt::format("exited with {}", result.exit_status);
    case wire::Status::kFault:
      return fmt::format("{} at {:#x} in T{}, code {}", ::strsignal(result.fault_signal),
                         result.fault_address, result.fault_thread,
                         code_text(code_.frame_of(result.fault_code, false)));
    case wire::Status::kDeadlock:
      return "deadlocked";
    case wire::Status::kHang:
      return "did not come to rest";
    default:
      return "running";
  }
}

std::string Evidence::caught_text(Report& report, uint32_t replica) {
  const wire::Replica& source = deck_.replicas[replica];
  const uint32_t count = std::min(source.caught_count.load(), wire::kMaxCaught);
  std::string text = count == 0 ? "" : "; stopped";
  for (uint32_t i = 0; i < count; ++i) {
    const wire::Caught& caught = source.caught[i];
    const record::Frame& code = code_.frame_of(caught.code, false);
    text += fmt::format("{} T{} at {}", i == 0 ? "" : ",", caught.thread, code_text(code));
    record::Thread& thread = thread_of(report, caught.thread);
    if (thread.stack().frames_size() != 0) continue;  // another replica's
    thread.set_state("stopped");
    thread.set_replica(replica);
    *thread.mutable_stack()->add_frames() = code;
  }
  return text;
}

void Evidence::add_fault(Report& report, record::Replica& view, const wire::Result& result) {
  record::Fault& fault = *view.mutable_fault();
  fault.set_signal(result.fault_signal);
  fault.set_address(result.fault_address);
  fault.set_thread(result.fault_thread);
  *fault.mutable_code() = code_.frame_of(result.fault_code, false);
  record::Thread& thread = thread_of(report, result.fault_thread);
  if (thread.stack().frames_size() != 0) return;  // another replica's
  thread.set_state("faulted");
  thread.set_replica(view.index());
  *thread.mutable_stack()->add_frames() = fault.code();
}

void Evidence::add_replicas(Report& report) {
  for_each_bit(replicas_.live_mask(), [&](uint32_t i) {
    const bool done = deck_.replicas[i].done_sequence.load() == deck_.command_sequence.load();
    const wire::Result& result = executor_.result(i);
    record::Replica& view = *report.add_replicas();
    view.set_index(i);
    view.set_status(done ? status_text(i) : "still running");
    view.set_token(done ? token_text(result.token) : "none");
    view.set_dirty_pages(result.dirty_pages);
    if (!done) return;
    view.set_root(token_text(result.root));
    view.set_outputs(token_text(result.outputs));
    if (result.status == wire::Status::kFault) add_fault(report, view, result);
    if (result.status == wire::Status::kHang) {
      view.set_status(view.status() + caught_text(report, i));
    }
    if (result.status == wire::Status::kDiverged && result.log_object != 0) {
      thread_of(report, result.log_thread).set_state("left the recorded order");
    }
  });
}

void Evidence::add_inputs(Report& report, const Batch& batch) {
  report.set_inputs_total(batch.count());
  const auto kept = std::min<uint32_t>(batch.count(), kMaxInputs);
  uint64_t room = kMaxInputBytes;
  for (uint32_t i = 0; i < kept; ++i) {
    const wire::Input& input = batch.input(i);
    record::Input& view = *report.add_inputs();
    view.set_index(i);
    view.set_kind(kind_name(input.kind));
    view.set_kind_number(static_cast<uint32_t>(input.kind));
    view.set_group(input.group);
    view.set_channel(input.channel);
    view.set_listener(input.listener);
    view.set_value(input.value);
    view.set_bytes(input.bytes);
    const uint64_t bytes = std::min<uint64_t>(input.bytes, room);
    view.set_payload(batch.payload(input), bytes);
    room -= bytes;
  }
}

void Evidence::add_outputs(Report& report) {
  std::vector<std::pair<uint32_t, OutputStreams>> streams;
  std::set<uint64_t> channels;
  for_each_bit(replicas_.live_mask(), [&](uint32_t i) {
    const wire::Result& result = executor_.result(i);
    if (result.status != wire::Status::kQuiescent) return;  // its outputs are not complete
    streams.emplace_back(i, split_outputs(deck_.outputs[i], result.output_bytes));
    for (const auto& [channel, text] : streams.back().second) channels.insert(channel);
  });
  for (const uint64_t channel : channels) {
    std::vector<std::pair<uint32_t, std::string>> values;
    for (auto& [replica, map] : streams) values.emplace_back(replica, map[channel]);
    const size_t at = first_difference(values);
    if (at == SIZE_MAX) continue;
    if (report.outputs_size() == kMaxOutputs) {
      report.set_differences_left_out(report.differences_left_out() + 1);
      continue;
    }
    for (auto& [replica, text] : values) {
      text = text.substr(std::min(text.size(), at), kMaxValueBytes);
    }
    record::Difference& difference = *report.add_outputs();
    difference.mutable_object()->set_kind(record::Object::OUTPUT);
    difference.mutable_object()->set_channel(channel);
    difference.set_begin(at);
    difference.set_shown_begin(at);
    difference.set_shown_end(at + kMaxValueBytes);
    group(difference, values);
  }
}

std::vector<uint64_t> Evidence::differing_pages(Report& report) {
  for_each_bit(replicas_.live_mask(), [&](uint32_t i) {
    const bool truncated = deck_.replicas[i].report.leaves_truncated != 0;
    report.set_pages_truncated(report.pages_truncated() || truncated);
  });
  std::vector<uint64_t> differing;
  for (const auto& [page, hashes] : hashes_that_differ(deck_, replicas_.live_mask())) {
    differing.push_back(page);
    if (report.tree().leaves_size() < kMaxLeaves) add_leaf(report, page, hashes);
  }
  report.mutable_tree()->set_leaves_total(differing.size());
  return differing;
}

void Evidence::add_memory(Report& report) {
  if (replicas_.live_count() < 2) return;
  executor_.describe();
  const std::vector<uint64_t> pages = differing_pages(report);
  report.set_differing_pages(pages.size());
  for (size_t at = 0; at < pages.size() && report.differences_size() < kMaxDifferences;
       at += wire::kMaxDumpPages) {
    const size_t count = std::min<size_t>(pages.size() - at, wire::kMaxDumpPages);
    executor_.dump({pages.data() + at, count});
    for (size_t i = 0; i < count; ++i) compare_page(report, pages[at + i]);
    if (at != 0) break;  // two rounds: enough to show what there is, not everything there is
  }
}

const wire::PageDump* Evidence::dump_of(uint32_t replica, uint64_t page) const {
  for (const wire::PageDump& dump : deck_.replicas[replica].report.dumps) {
    if (dump.page == page) return &dump;
  }
  return nullptr;
}

void Evidence::compare_page(Report& report, uint64_t page) {
  std::vector<const wire::PageDump*> dumps;
  for_each_bit(replicas_.live_mask(), [&](uint32_t i) { dumps.push_back(dump_of(i, page)); });
  if (std::find(dumps.begin(), dumps.end(), nullptr) != dumps.end()) return;
  uint64_t begin = kPageBytes;
  uint64_t end = 0;
  for (uint64_t i = 0; i <= kPageBytes; ++i) {
    const bool differs = i < kPageBytes && std::any_of(dumps.begin(), dumps.end(), [&](auto* dump) {
                           return dump->bytes[i] != dumps.front()->bytes[i];
                         });
    if (differs) {
      begin = std::min(begin, i);
      end = i + 1;
    } else if (end != 0 && (i - end >= kJoinBytes || i == kPageBytes)) {
      add_difference(report, page, begin & ~uint64_t{3}, (end + 3) & ~uint64_t{3});
      begin = kPageBytes;
      end = 0;
    }
  }
}

void Evidence::add_difference(Report& report, uint64_t page, uint64_t begin, uint64_t end) {
  if (report.differences_size() >= kMaxDifferences) {
    report.set_differences_left_out(report.differences_left_out() + 1);
    return;
  }
  record::Difference& difference = *report.add_differences();
  const auto [object, offset] = name_place(page + begin);
  *difference.mutable_object() = object;
  difference.set_page(page);
  difference.set_begin(offset);
  difference.set_end(offset + (end - begin));
  // The surroundings are of the same page, and of the object if its bounds are known.
  const uint64_t before = std::min({kAroundBytes, begin, offset});
  const uint64_t behind = std::min({kAroundBytes, kPageBytes - end,
                                    std::max(object.bytes(), difference.end()) - difference.end()});
  const uint64_t shown = std::min(before + (end - begin) + behind, kMaxValueBytes);
  difference.set_shown_begin(offset - before);
  difference.set_shown_end(offset - before + shown);
  std::vector<std::pair<uint32_t, std::string>> values;
  for_each_bit(replicas_.live_mask(), [&](uint32_t i) {
    const auto* bytes = reinterpret_cast<const char*>(dump_of(i, page)->bytes);
    values.emplace_back(i, std::string(bytes + begin - before, shown));
  });
  group(difference, values);
}

bool Evidence::name_named_object(record::Object& object, uint64_t& offset, uint64_t address) const {
  const wire::Report& report = deck_.replicas[replicas_.primary()].report;
  const uint32_t count = std::min(report.named_count, wire::kMaxNamedObjects);
  for (uint32_t i = 0; i < count; ++i) {
    const wire::NamedObject& named = report.named[i];
    if (address - named.begin >= named.bytes) continue;
    object.set_kind(record::Object::NAMED);
    object.set_symbol(std::string(named.label, ::strnlen(named.label, sizeof named.label)));
    object.set_address(named.begin);
    object.set_bytes(named.bytes);
    offset = address - named.begin;
    return true;
  }
  return false;
}

std::pair<record::Object, uint64_t> Evidence::name_place(uint64_t address) {
  record::Object object;
  uint64_t offset = 0;
  if (!name_named_object(object, offset, address) && !name_heap_object(object, offset, address)) {
    name_region(object, offset, address);
  }
  return {std::move(object), offset};
}

std::pair<record::Object, uint64_t> Evidence::name(uint64_t address) {
  executor_.describe();
  const uint64_t page = address & kPageMask;
  executor_.dump({&page, 1});
  return name_place(address);
}

bool Evidence::name_heap_object(record::Object& object, uint64_t& offset, uint64_t address) const {
  const wire::PageDump* dump = dump_of(replicas_.primary(), address & kPageMask);
  if (dump == nullptr) return false;
  const uint32_t count = std::min(dump->object_count, wire::kMaxObjects);
  for (uint32_t i = 0; i < count; ++i) {
    const wire::HeapObject& found = dump->objects[i];
    // bytes + 1: even an empty object covers its own address.
    if (address - found.base >= found.bytes + 1) continue;
    object.set_kind(record::Object::HEAP);
    object.set_address(found.base);
    object.set_bytes(found.bytes);
    object.set_lane(found.lane);
    object.set_sequence(found.sequence);
    object.set_freed(found.freed != 0);
    offset = address - found.base;
    return true;
  }
  return false;
}

void Evidence::name_region(record::Object& object, uint64_t& offset, uint64_t address) {
  const wire::Replica& replica = deck_.replicas[replicas_.primary()];
  const uint32_t count = std::min(replica.region_count.load(), wire::kMaxRegions);
  for (uint32_t i = 0; i < count; ++i) {
    const wire::Region& region = replica.regions[i];
    if (address < region.begin || address >= region.end) continue;
    const std::string name(region.name, ::strnlen(region.name, sizeof region.name));
    const uint64_t file_offset = address - region.begin + region.file_offset;
    const auto symbol =
        name.starts_with('/') ? find_symbol(name, file_offset, false) : std::nullopt;
    offset = symbol ? symbol->offset : file_offset;
    object.set_kind(symbol ? record::Object::GLOBAL : record::Object::DATA);
    object.set_address(address - (symbol ? symbol->offset : 0));
    object.set_module(name);
    object.set_module_offset(file_offset - (symbol ? symbol->offset : 0));
    if (name.starts_with('/')) object.set_build_id(code_.build_of(name));
    if (!symbol) return;
    object.set_symbol(symbol->name);
    object.set_bytes(symbol->bytes);
    return;
  }
  object.set_kind(record::Object::MEMORY);
  object.set_address(address & kPageMask);
  offset = address & ~kPageMask;
}

}  // namespace evenkeel::host
