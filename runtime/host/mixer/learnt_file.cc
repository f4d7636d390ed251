#include "runtime/host/mixer/learnt_file.h"

#include <fmt/format.h>
#include <google/protobuf/io/tokenizer.h>
#include <google/protobuf/text_format.h>

#include <fstream>
#include <iterator>
#include <system_error>

#include "runtime/host/mixer/learnt.pb.h"
#include "runtime/host/report_file.h"

namespace evenkeel::host {
namespace {

namespace fs = std::filesystem;
using google::protobuf::TextFormat;

class Silent : public google::protobuf::io::ErrorCollector {
  void AddError(int, int, const std::string&) override {}
};

Conflicts::Side side_from(const learnt::Side& side) { return {side.kind(), side.word()}; }

void side_to(const Conflicts::Side& side, learnt::Side& out) {
  out.set_kind(side.kind);
  if (side.word != 0) out.set_word(side.word);
}

bool sound(const learnt::Conflict& conflict) {
  const bool words = conflict.first().word() != 0;
  return !conflict.first().kind().empty() && !conflict.second().kind().empty() &&
         words == (conflict.second().word() != 0) && conflict.first().word() <= Phrase::kMaxWords &&
         conflict.second().word() <= Phrase::kMaxWords;
}

}  // namespace

void read_learnt(const fs::path& path, Conflicts& out, std::string& complaint) {
  std::ifstream input(path, std::ios::binary);
  if (!input.is_open()) return;  // the first run
  const std::string text{std::istreambuf_iterator<char>(input), {}};
  learnt::Learnt record;
  Silent silent;
  TextFormat::Parser parser;
  parser.RecordErrorsTo(&silent);
  if (!parser.ParseFromString(text, &record)) {
    complaint = "it is damaged";
  } else if (record.version() != kLearntVersion) {
    complaint = fmt::format("its format is version {}, not {}", record.version(), kLearntVersion);
  } else if (!std::all_of(record.conflict().begin(), record.conflict().end(), sound)) {
    complaint = "it holds what cannot be a conflict";
  }
  if (!complaint.empty()) return;
  for (const learnt::Conflict& conflict : record.conflict()) {
    out.restore(Conflicts::pair_of(side_from(conflict.first()), side_from(conflict.second())),
                conflict.confirmed(), conflict.batches_left());
  }
}

bool write_learnt(const fs::path& path, const Conflicts& conflicts) {
  learnt::Learnt record;
  record.set_version(kLearntVersion);
  for (const auto& [pair, standing] : conflicts.all()) {
    learnt::Conflict& conflict = *record.add_conflict();
    side_to(pair.first, *conflict.mutable_first());
    side_to(pair.second, *conflict.mutable_second());
    conflict.set_confirmed(standing.confirmed);
    conflict.set_batches_left(conflicts.batches_left(standing));
  }
  std::string text;
  if (!TextFormat::PrintToString(record, &text)) return false;
  try {
    write_whole(path, text, Durability::kProcess);
  } catch (const std::system_error&) {
    return false;
  }
  return true;
}

}  // namespace evenkeel::host
