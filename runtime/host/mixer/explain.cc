#include "runtime/host/mixer/explain.h"

#include <fmt/format.h>

#include <iterator>

#include "runtime/host/refusal.h"

namespace evenkeel::host {
namespace {

const char* access_name(mixer::Access access) {
  switch (access) {
    case mixer::Access::kRead:
      return "reads";
    case mixer::Access::kWrite:
      return "writes";
    case mixer::Access::kAdd:
      return "adds to";
    case mixer::Access::kReadPart:
      return "reads part of";
  }
  return "?";
}

std::string escaped(std::string_view bytes) {
  std::string text;
  for (const char c : bytes) {
    if (c >= ' ' && c <= '~' && c != '\\') {
      text += c;
    } else {
      fmt::format_to(std::back_inserter(text), "\\x{:02x}", static_cast<unsigned char>(c));
    }
  }
  return text;
}

std::string footprint(const Requests& requests, size_t i) {
  const Requests::Request& request = requests.at(i);
  if (request.reach == Reach::kEverything) return "conflicts with everything";
  std::string text;
  size_t key = request.first_key;
  for (const mixer::Key& k : requests.keys_of(i)) {
    fmt::format_to(std::back_inserter(text), "{}{} {}", text.empty() ? "" : ", ",
                   access_name(k.access), escaped(requests.text_of(key++)));
  }
  if (request.reach == Reach::kUnknown) {
    text += text.empty() ? "unknown" : ", and is unknown";
    return text + ": conflicts with everything if --order is independent, else with nothing";
  }
  return text.empty() ? "conflicts with nothing" : text;
}

}  // namespace

std::string explain(const Dialect& dialect, std::string_view bytes) {
  Stream stream;
  Requests requests;
  requests.keep_texts();
  dialect.read(stream, bytes, requests);
  std::string text;
  for (size_t i = 0; i < requests.count(); ++i) {
    fmt::format_to(std::back_inserter(text), "{:<4} {:<16} {}\n", i + 1,
                   escaped(requests.at(i).kind), footprint(requests, i));
  }
  if (stream.body != 0) {
    fmt::format_to(std::back_inserter(text), "request {} is not complete: {} bytes are missing\n",
                   requests.count(), stream.body);
  } else if (stream.inside() || !stream.head.empty()) {
    fmt::format_to(std::back_inserter(text), "the last {} bytes are no complete request: {}\n",
                   stream.head.size(), escaped(std::string_view(stream.head).substr(0, 60)));
  }
  return text;
}

std::string read_all(std::FILE* input) {
  std::string all;
  char buffer[65536];
  for (size_t got = 0; (got = std::fread(buffer, 1, sizeof buffer, input)) != 0;) {
    all.append(buffer, got);
    if (all.size() > kMaxExplainedBytes) {
      throw Refusal(kExitUsage, fmt::format("more than {} bytes to explain", kMaxExplainedBytes),
                    "give a few requests");
    }
  }
  return all;
}

}  // namespace evenkeel::host
