#include "runtime/host/report_file.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <unistd.h>
#define XXH_INLINE_ALL
#include <xxhash.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <stdexcept>
#include <system_error>

#include "runtime/host/fd.h"

namespace evenkeel::host {
namespace {

constexpr std::array<char, 8> kMagic = {'E', 'v', 'k', 'R', 'p', 'r', 't', '\n'};

[[noreturn]] void fail() { throw std::system_error(errno, std::generic_category()); }

void write_all(int fd, std::string_view data) {
  while (!data.empty()) {
    const ssize_t bytes = ::write(fd, data.data(), data.size());
    if (bytes < 0 && errno == EINTR) continue;
    if (bytes < 0) fail();
    data.remove_prefix(static_cast<size_t>(bytes));
  }
}

void sync_directory(const std::filesystem::path& directory) {
  const Fd fd(::open(directory.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (!fd.valid() || ::fsync(fd.get()) != 0) fail();
}

}  // namespace

uint64_t checksum_of(std::string_view data) { return XXH3_64bits(data.data(), data.size()); }

std::string encode_report(const record::Report& report) {
  const std::string message = report.SerializeAsString();
  ReportHeader header{};
  header.magic = kMagic;
  header.format = kReportFormat;
  header.kind = static_cast<uint32_t>(report.kind());
  header.signature = std::strtoull(report.signature().c_str(), nullptr, 16);
  header.race = std::strtoull(report.race().c_str(), nullptr, 16);
  header.realtime_ns = report.realtime_ns();
  header.bytes = message.size();
  header.checksum = checksum_of(message);
  std::string file(reinterpret_cast<const char*>(&header), sizeof header);
  return file + message;
}

ReportHeader decode_header(std::string_view file) {
  ReportHeader header{};
  if (file.size() >= kMagic.size() && !std::equal(kMagic.begin(), kMagic.end(), file.begin())) {
    throw std::runtime_error("it is not a report");
  }
  if (file.size() < sizeof header) throw std::runtime_error("it is truncated");
  std::memcpy(&header, file.data(), sizeof header);
  if (header.format != kReportFormat) {
    throw std::runtime_error(
        fmt::format("its format is version {}, not {}", header.format, kReportFormat));
  }
  return header;
}

record::Report decode_report(std::string_view file) {
  const ReportHeader header = decode_header(file);
  file.remove_prefix(sizeof header);
  if (file.size() < header.bytes) throw std::runtime_error("it is truncated");
  file = file.substr(0, header.bytes);
  record::Report report;
  if (checksum_of(file) != header.checksum ||
      !report.ParseFromArray(file.data(), static_cast<int>(file.size()))) {
    throw std::runtime_error("it is damaged");
  }
  return report;
}

std::string read_whole(const std::filesystem::path& path, uint64_t most) {
  const Fd fd(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
  if (!fd.valid()) fail();
  constexpr size_t kChunkBytes = 65536;
  std::string data;
  while (data.size() < most) {
    const size_t old = data.size();
    const size_t wanted = std::min<uint64_t>(kChunkBytes, most - old);
    data.resize(old + wanted);
    const ssize_t bytes = ::read(fd.get(), data.data() + old, wanted);
    if (bytes < 0 && errno != EINTR) fail();
    data.resize(old + static_cast<size_t>(std::max<ssize_t>(bytes, 0)));
    if (bytes == 0) break;
  }
  return data;
}

bool is_replaceable(const std::filesystem::path& path) {
  std::error_code error;
  const auto status = std::filesystem::symlink_status(path, error);
  return std::filesystem::is_regular_file(status) || !std::filesystem::exists(status);
}

void write_whole(const std::filesystem::path& path, std::string_view data, Durability durability) {
  if (!is_replaceable(path)) {
    throw std::system_error(EEXIST, std::generic_category());
  }
  std::filesystem::path temporary = path;
  temporary += ".new";
  const Fd fd(::open(temporary.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600));
  if (!fd.valid()) fail();
  try {
    write_all(fd.get(), data);
    if (durability == Durability::kMachine && ::fsync(fd.get()) != 0) fail();
    if (::rename(temporary.c_str(), path.c_str()) != 0) fail();
  } catch (const std::system_error&) {
    ::unlink(temporary.c_str());
    throw;
  }
  if (durability == Durability::kMachine) sync_directory(path.parent_path());
}

}  // namespace evenkeel::host
