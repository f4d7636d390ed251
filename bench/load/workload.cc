#include "bench/load/workload.h"

#include <charconv>
#include <cstdio>

namespace evenkeel::load {

Workload::Workload(const Options& options) : options_(options) {
  for (uint32_t i = 0; i < options.connections; ++i) {
    random_.emplace_back(options.seed * 1000003 + i);
  }
}

uint64_t Workload::share_of_requests(uint32_t connection) const {
  const uint64_t share = options_.requests / options_.connections;
  return share + (connection < options_.requests % options_.connections ? 1 : 0);
}

void Workload::report_wrong(std::string_view what, std::string_view key, std::string_view wanted,
                            std::string_view got) {
  constexpr size_t kShownBytes = 200;
  if (wrong_++ >= options_.show_wrong) return;
  const auto shown = [](std::string_view text) {
    return std::string(text.substr(0, kShownBytes)) + (text.size() > kShownBytes ? "..." : "");
  };
  std::fprintf(stderr, "wrong: %s %s: wanted %s, got %s\n", shown(what).c_str(), shown(key).c_str(),
               shown(wanted).c_str(), shown(got).c_str());
}

bool Workload::is_server_error(const Reply& reply) {
  if (!reply.line.starts_with("SERVER_ERROR")) return false;
  if (errors_++ < options_.show_wrong) {
    std::fprintf(stderr, "error: %s\n", std::string(reply.line).c_str());
  }
  return true;
}

void Workload::expect_line(const Reply& reply, std::string_view key, std::string_view wanted) {
  expect_line(reply, key, wanted, wanted);
}

void Workload::expect_line(const Reply& reply, std::string_view key, std::string_view wanted,
                           std::string_view or_this) {
  if (!reply.values.empty()) {
    report_wrong("a value instead of a line", key, wanted, reply.values[0].data);
  } else if (reply.malformed || (reply.line != wanted && reply.line != or_this)) {
    report_wrong("answer for", key, wanted, reply.line);
  }
}

void append_number(std::string& out, uint64_t number) {
  char digits[20];
  const auto printed = std::to_chars(digits, digits + sizeof digits, number);
  out.append(digits, static_cast<size_t>(printed.ptr - digits));
}

void append_store_line(std::string& out, std::string_view command, std::string_view key,
                       uint32_t flags, size_t bytes) {
  out.append(command).append(" ").append(key).append(" ");
  append_number(out, flags);
  out.append(" 0 ");
  append_number(out, bytes);
  out.append("\r\n");
}

bool parse_number(std::string_view text, uint64_t& number) {
  const char* end = text.data() + text.size();
  const auto parsed = std::from_chars(text.data(), end, number);
  return parsed.ec == std::errc() && parsed.ptr == end;
}

}  // namespace evenkeel::load
