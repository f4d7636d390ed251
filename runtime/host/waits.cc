#include "runtime/host/waits.h"

#include <fmt/format.h>

#include <algorithm>
#include <iterator>
#include <nlohmann/json.hpp>

namespace evenkeel::host {
namespace {

struct KindName {
  const char* object;
  const char* owned;  // what its owner does with it
};

KindName name_of(wire::WaitKind kind) {
  static constexpr KindName kNames[] = {{"something", "held by"},
                                        {"mutex", "held by"},
                                        {"spin lock", "held by"},
                                        {"read lock of rwlock", "held by"},
                                        {"write lock of rwlock", "held by"},
                                        {"once-control", "run by"},
                                        {"the end of", ""},
                                        {"condition variable", ""},
                                        {"semaphore", ""},
                                        {"barrier", ""},
                                        {"futex", ""}};
  const auto index = static_cast<uint32_t>(kind);
  return index < std::size(kNames) ? kNames[index] : kNames[0];
}

std::string object_text(const WaitView& wait) {
  if (wait.place.empty()) return fmt::format("{:#x}", wait.object);
  return fmt::format("{} ({:#x})", wait.place, wait.object);
}

}  // namespace

std::vector<WaitView> view_waits(const wire::Waits& waits) {
  std::vector<WaitView> views;
  const uint32_t count = std::min(waits.count, wire::kMaxWaits);
  for (uint32_t i = 0; i < count; ++i) {
    const wire::Wait& w = waits.wait[i];
    views.push_back({w.thread, w.kind, w.object, {}, w.owner, w.owner_exited != 0, w.earlier != 0});
  }
  return views;
}

std::string wait_text(const WaitView& wait) {
  const KindName name = name_of(wait.kind);
  std::string text = fmt::format("T{} waits for {} ", wait.thread, name.object);
  if (wait.kind == wire::WaitKind::kJoin) {
    text += wait.owner == wire::kNoThread ? "a thread" : fmt::format("T{}", wait.owner);
  } else {
    text += object_text(wait);
    if (wait.owner != wire::kNoThread) text += fmt::format(", {} T{}", name.owned, wait.owner);
  }
  if (wait.owner_exited) text += ", which has exited";
  if (wait.earlier) text += " (since before this batch)";
  return text;
}

std::string waits_text(const std::vector<WaitView>& waits) {
  constexpr size_t kShown = 3;
  std::string text;
  for (size_t i = 0; i < std::min(waits.size(), kShown); ++i) {
    text += (i == 0 ? "" : "; ") + wait_text(waits[i]);
  }
  return waits.size() > kShown ? text + "; ..." : text;
}

nlohmann::json waits_json(const std::vector<WaitView>& waits) {
  nlohmann::json list = nlohmann::json::array();
  for (const WaitView& w : waits) {
    nlohmann::json entry = {{"thread", w.thread},  {"kind", name_of(w.kind).object},
                            {"object", w.object},  {"place", w.place},
                            {"owner", nullptr},    {"owner_exited", w.owner_exited},
                            {"earlier", w.earlier}};
    if (w.owner != wire::kNoThread) entry["owner"] = w.owner;
    list.push_back(std::move(entry));
  }
  return list;
}

}  // namespace evenkeel::host
