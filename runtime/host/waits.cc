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

std::string object_text(const record::Wait& wait) {
  if (wait.place().empty()) return fmt::format("{:#x}", wait.object());
  return fmt::format("{} ({:#x})", wait.place(), wait.object());
}

KindName name_of(const record::Wait& wait) {
  return name_of(static_cast<wire::WaitKind>(wait.kind()));
}

}  // namespace

WaitList view_waits(const wire::Waits& waits) {
  WaitList views;
  const uint32_t count = std::min(waits.count, wire::kMaxWaits);
  for (uint32_t i = 0; i < count; ++i) {
    const wire::Wait& w = waits.wait[i];
    record::Wait& view = *views.Add();
    view.set_thread(w.thread);
    view.set_kind(static_cast<uint32_t>(w.kind));
    view.set_object(w.object);
    if (w.owner != wire::kNoThread) view.set_owner(w.owner);
    view.set_owner_exited(w.owner_exited != 0);
    view.set_earlier(w.earlier != 0);
  }
  return views;
}

std::string wait_text(const record::Wait& wait) {
  const KindName name = name_of(wait);
  std::string text = fmt::format("T{} waits for {} ", wait.thread(), name.object);
  if (static_cast<wire::WaitKind>(wait.kind()) == wire::WaitKind::kJoin) {
    text += wait.has_owner() ? fmt::format("T{}", wait.owner()) : "a thread";
  } else {
    text += object_text(wait);
    if (wait.has_owner()) text += fmt::format(", {} T{}", name.owned, wait.owner());
  }
  if (wait.owner_exited()) text += ", which has exited";
  if (wait.earlier()) text += " (since before this batch)";
  return text;
}

std::string waits_text(const WaitList& waits) {
  constexpr int kShown = 3;
  std::string text;
  for (int i = 0; i < std::min(waits.size(), kShown); ++i) {
    text += (i == 0 ? "" : "; ") + wait_text(waits[i]);
  }
  return waits.size() > kShown ? text + "; ..." : text;
}

nlohmann::json waits_json(const WaitList& waits) {
  nlohmann::json list = nlohmann::json::array();
  for (const record::Wait& w : waits) {
    nlohmann::json entry = {{"thread", w.thread()},  {"kind", name_of(w).object},
                            {"object", w.object()},  {"place", w.place()},
                            {"owner", nullptr},      {"owner_exited", w.owner_exited()},
                            {"earlier", w.earlier()}};
    if (w.has_owner()) entry["owner"] = w.owner();
    list.push_back(std::move(entry));
  }
  return list;
}

}  // namespace evenkeel::host
