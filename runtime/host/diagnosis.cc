#include "runtime/host/diagnosis.h"

#include <fcntl.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <csignal>
#include <filesystem>

#include "runtime/host/clock.h"
#include "runtime/host/experiment.h"
#include "runtime/host/inherited.h"
#include "runtime/host/refusal.h"
#include "runtime/host/symbols.h"

namespace evenkeel::host {
namespace {

namespace fs = std::filesystem;

// The store removes what ends like this when it is opened.
constexpr char kFindings[] = ".findings.new";
constexpr char kWorkerLog[] = ".log.new";
constexpr uint64_t kMaxFindingsBytes = 16 << 20;

std::vector<std::string> own_environment() {
  std::vector<std::string> variables;
  for (char** entry = environ; *entry != nullptr; ++entry) variables.emplace_back(*entry);
  return variables;
}

std::string token_text(const wire::Token& token) {
  return fmt::format("{:016x}{:016x}", token.high, token.low);
}

void redirect(int to, const std::string& path) {
  const int fd = ::open(path.c_str(), O_WRONLY | O_CREAT | O_TRUNC, 0600);
  if (fd < 0) ::_exit(1);
  ::dup2(fd, to);
  ::close(fd);
}

// Its last line, without the name of the program.
std::string last_words(const std::string& path) {
  std::string text;
  try {
    text = read_whole(path, 4096);
  } catch (const std::system_error&) {
    return {};
  }
  while (!text.empty() && text.back() == '\n') text.pop_back();
  const size_t line = text.find("evenkeel: ");
  if (line == std::string::npos) return text;
  text.erase(0, line + 10);
  return text.substr(0, text.find('\n'));
}

// The experiment numbers what it watches, the report what differs.
uint32_t difference_of(const Report& report, const record::Write& write) {
  const auto ranges = watched_ranges(report);
  if (write.difference() >= ranges.size()) return 0;
  const uint64_t wanted = ranges[write.difference()].begin;
  for (int i = 0; i < report.differences_size(); ++i) {
    const record::Difference& d = report.differences(i);
    const bool inside = d.object().kind() != record::Object::DATA;
    if (d.object().address() + (inside ? d.begin() : 0) == wanted) {
      return static_cast<uint32_t>(i);
    }
  }
  return 0;
}

}  // namespace

Diagnosis::~Diagnosis() {
  thaw();
  if (worker_ > 0) ::kill(worker_, SIGKILL);
}

bool Diagnosis::wants(const Report& report) {
  if (options_.diagnose_limit == 0 || worker_ > 0 || report.id().empty() || report.forced()) {
    return false;
  }
  if (options_.report_bytes != record::FULL) return false;  // it writes memory to the disk
  if (tries_.size() >= kMaxSignatures) tries_.clear();
  uint32_t& tries = tries_[report.signature()];
  if (tries >= kTriesPerSignature || !limit_.admit(monotonic_ns())) return false;
  ++tries;
  return true;
}

void Diagnosis::prepare(const Report& report, const Batch& batch, uint32_t sequence) {
  batch_.clear();
  if (watched_ranges(report).empty() || !wants(report)) return;
  batch_ = copy_batch(parts_.deck, sequence, batch.count());
  if (batch_.empty()) return;
  sequence_ = sequence;
  input_count_ = batch.count();
  for_each_bit(parts_.replicas.live_mask(),
               [&](uint32_t i) { parts_.deck.replicas[i].frozen_pid = 0; });
  parts_.executor.freeze_next();
}

nlohmann::json Diagnosis::describe(bool agreed) const {
  const mode_t mask = ::umask(0);
  ::umask(mask);
  nlohmann::json modules = nlohmann::json::array();
  for (const record::Module& module : report_.modules()) {
    const std::string build = build_id(module.path());
    if (!build.empty()) modules.push_back({{"path", module.path()}, {"build", build}});
  }
  nlohmann::json watch = nlohmann::json::array();
  for (const auto& range : watched_ranges(report_)) watch.push_back({range.begin, range.end});
  std::error_code error;
  const uint32_t primary = parts_.replicas.primary();
  return {{"report", report_.id()},
          {"server", parts_.launch.path},
          {"arguments", parts_.launch.arguments},
          {"library", parts_.launch.library},
          {"environment", own_environment()},
          {"directory", fs::current_path(error).string()},
          {"umask", mask},
          {"open_files", parts_.launch.open_files_soft},
          {"replicas", options_.replicas},
          {"hang_timeout_s", options_.hang_timeout_s},
          {"inputs", input_count_},
          {"sequence", sequence_},
          {"inherited", list_inherited()},
          {"modules", std::move(modules)},
          {"watch", std::move(watch)},
          {"agreed", agreed ? token_text(parts_.executor.result(primary).token) : ""}};
}

// The server can have written any number there, and it is about to be ended. (Behind a wrapper the
// copy is the wrapper's child: there is no diagnosis then.)
bool Diagnosis::is_frozen_copy(pid_t pid) const {
  siginfo_t info{};
  if (pid <= 0 ||
      ::waitid(P_PID, static_cast<id_t>(pid), &info, WEXITED | WNOHANG | WNOWAIT) != 0) {
    return false;
  }
  bool replica = false;
  for_each_bit(parts_.replicas.live_mask(),
               [&](uint32_t i) { replica |= parts_.replicas.server_pid(i) == pid; });
  return !replica;
}

void Diagnosis::begin(const Report& report, bool agreed) {
  if (batch_.empty()) return;
  frozen_ = parts_.deck.replicas[parts_.replicas.primary()].frozen_pid;
  if (!is_frozen_copy(frozen_)) {
    frozen_ = -1;
    return batch_.clear();
  }
  const auto seat = copy_seat(parts_.deck, parts_.replicas.primary());
  batch_.insert(batch_.end(), seat.begin(), seat.end());
  report_ = report;
  bundle_ = (parts_.reports.directory() / (report.id() + ".bundle")).string();
  const nlohmann::json text = describe(agreed);
  started_ns_ = monotonic_ns();
  worker_ = ::fork();
  if (worker_ == 0) work(text);
  batch_.clear();
  if (worker_ < 0) thaw();
}

// In a process of its own, which inherits what is to be stored.
void Diagnosis::work(const nlohmann::json& text) const {
  ::prctl(PR_SET_PDEATHSIG, SIGKILL);
  ::setpgid(0, 0);  // the terminal's Ctrl-C is not for it
  parts_.launch.signals->restore_in_child();
  ::setpriority(PRIO_PROCESS, 0, 19);
  close_private_descriptors();  // above all the clients' connections
  redirect(STDOUT_FILENO, bundle_ + kFindings);
  redirect(STDERR_FILENO, bundle_ + kWorkerLog);
  try {
    write_state(bundle_, frozen_, batch_, text, options_.diagnose_limit);
  } catch (const std::exception& e) {
    say("{}", e.what());
    ::_exit(1);
  }
  ::kill(frozen_, SIGKILL);
  ::execl("/proc/self/exe", "evenkeel", "diagnose", bundle_.c_str(), nullptr);
  ::_exit(1);
}

// The frozen copy must not outlive its use: each page that the primary writes is copied meanwhile.
void Diagnosis::thaw() {
  if (frozen_ <= 0) return;
  ::kill(frozen_, SIGKILL);
  while (::waitpid(frozen_, nullptr, 0) < 0 && errno == EINTR) {  // ECHILD: a wrapper's child
  }
  frozen_ = -1;
}

void Diagnosis::look() {
  const uint64_t now = monotonic_ns();
  if (now - looked_ns_ < kLookNs) return;
  looked_ns_ = now;
  if (frozen_ > 0 && ::waitpid(frozen_, nullptr, WNOHANG) != 0) frozen_ = -1;
  if (now - started_ns_ > kTimeoutNs) ::kill(worker_, SIGKILL);
  int status = 0;
  if (::waitpid(worker_, &status, WNOHANG) != worker_) return;
  worker_ = -1;
  thaw();
  const bool fine = WIFEXITED(status) && WEXITSTATUS(status) == 0;
  std::string failure;
  if (!fine) failure = last_words(bundle_ + kWorkerLog);
  if (!fine && failure.empty())
    failure = now - started_ns_ > kTimeoutNs ? "it took too long" : "it crashed";
  finish(failure);
}

void Diagnosis::finish(const std::string& failure) {
  record::Diagnosis& diagnosis = *report_.mutable_diagnosis();
  if (failure.empty()) {
    try {
      diagnosis.ParseFromString(read_whole(bundle_ + kFindings, kMaxFindingsBytes));
    } catch (const std::system_error&) {
      diagnosis.set_note("the findings cannot be read");
    }
  } else {
    diagnosis.set_note("the batch could not be executed again: " + failure);
  }
  std::error_code error;
  fs::remove(bundle_ + kFindings, error);
  fs::remove(bundle_ + kWorkerLog, error);
  // It holds all of the server's memory. And the report may have had to make room by now.
  const fs::path report = parts_.reports.directory() / (report_.id() + ".report");
  if (options_.report_bytes != record::FULL || !fs::exists(report, error)) {
    fs::remove(bundle_, error);
  }
  const auto bytes = fs::file_size(bundle_, error);
  if (!error) {
    diagnosis.set_bundle(report_.id() + ".bundle");
    diagnosis.set_bundle_bytes(bytes);
  }
  for (record::Write& write : *diagnosis.mutable_writes()) {
    write.set_difference(difference_of(report_, write));
  }
  if (diagnosis.repeated_race()) tries_[report_.signature()] = kTriesPerSignature;
  parts_.reports.save(report_, Durability::kProcess);
  report_.Clear();
}

}  // namespace evenkeel::host
