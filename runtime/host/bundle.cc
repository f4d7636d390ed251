#include "runtime/host/bundle.h"

#include <cerrno>
#include <cstring>
#include <fstream>
#include <stdexcept>

#include "runtime/host/refusal.h"
#include "runtime/host/report_file.h"
#include "runtime/host/state_file.h"

namespace evenkeel::host {
namespace {

namespace fs = std::filesystem;

constexpr uint64_t kMaxReportBytes = 64 << 20;

[[noreturn]] void refuse_write(const fs::path& file, int error) {
  throw Refusal(1, fmt::format("{} cannot be written: {}", file.string(), std::strerror(error)),
                "choose another file with -o, or make room");
}

}  // namespace

void write_bundle(const fs::path& file, const record::Report& report, const fs::path& state) {
  const StateFile complete(state);  // refuses one that is not
  if (!is_replaceable(file)) refuse_write(file, EEXIST);
  fs::path fresh = file;
  fresh += ".new";
  std::ofstream out(fresh, std::ios::binary | std::ios::trunc);
  if (!out) refuse_write(file, errno);
  fs::permissions(fresh, fs::perms::owner_read | fs::perms::owner_write);
  out << std::ifstream(state, std::ios::binary).rdbuf() << encode_report(report);
  out.close();
  const int failure = errno;
  std::error_code error;
  if (out) fs::rename(fresh, file, error);
  if (out && !error) return;
  fs::remove(fresh, error);
  refuse_write(file, failure);
}

record::Report read_bundled_report(const fs::path& file) {
  const StateFile complete(file);
  const std::string refused = fmt::format("{} holds no report that can be read", file.string());
  std::ifstream in(file, std::ios::binary);
  in.seekg(static_cast<std::streamoff>(complete.bytes()));
  const uint64_t bytes = fs::file_size(file) - complete.bytes();
  if (bytes > kMaxReportBytes) throw Refusal(1, refused, "export it again, or copy it again");
  std::string report(bytes, '\0');
  in.read(report.data(), static_cast<std::streamsize>(bytes));
  try {
    return decode_report(report);
  } catch (const std::runtime_error& e) {
    throw Refusal(1, fmt::format("{}: {}", refused, e.what()), "export it again, or copy it again");
  }
}

}  // namespace evenkeel::host
