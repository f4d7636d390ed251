#include "runtime/host/mixer/learnt_dialect.h"

#include <fmt/format.h>

#include <utility>

#include "runtime/host/mixer/learnt_file.h"
#include "runtime/host/refusal.h"

namespace evenkeel::host {
namespace {

class Learnt : public Dialect {
 public:
  explicit Learnt(const Conflicts& conflicts) : conflicts_(conflicts) {}
  explicit Learnt(Conflicts&& own) : own_(std::move(own)), conflicts_(own_) {}

  void notice(wire::InputKind kind, Requests& out) const override {
    Phrase phrase;
    phrase.kind = kind_of(kind);
    if (phrase.kind.empty()) return;
    out.begin(phrase.kind);
    conflicts_.add_keys(phrase, out);
  }

 private:
  size_t head(Stream&, std::string_view bytes, Requests& out) const override {
    std::string_view rest = bytes;
    std::string_view line;
    if (!take_line(rest, line)) return kIncomplete;
    const Phrase phrase = phrase_of(line);
    out.begin(name_of(phrase.kind));
    conflicts_.add_keys(phrase, out);
    return bytes.size() - rest.size();
  }

  // Kinds outlive the bytes they were read from. Only what was learnt has a name.
  [[nodiscard]] std::string_view name_of(std::string_view kind) const {
    return conflicts_.known_kind(kind);
  }

  Conflicts own_;
  const Conflicts& conflicts_;
};

}  // namespace

std::unique_ptr<Dialect> learnt_dialect(const Conflicts& conflicts) {
  return std::make_unique<Learnt>(conflicts);
}

std::unique_ptr<Dialect> learnt_dialect(const std::string& file) {
  Conflicts conflicts;
  std::string complaint;
  read_learnt(file, conflicts, complaint);
  if (!complaint.empty()) {
    throw Refusal(kExitUsage, fmt::format("{}: {}", file, complaint),
                  "remove it, and the mixer learns anew");
  }
  return std::make_unique<Learnt>(std::move(conflicts));
}

}  // namespace evenkeel::host
