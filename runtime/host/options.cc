#include "runtime/host/options.h"

#include <fmt/format.h>

#include <cctype>
#include <charconv>
#include <stdexcept>
#include <utility>

#include "runtime/host/report.pb.h"

namespace evenkeel::host {
namespace {

constexpr uint64_t kMaxHangTimeoutS = 86400;
constexpr uint64_t kMaxCarriers = 60;  // wire::Replica::carrier_tid
constexpr size_t kMaxNameBytes = 64;
constexpr uint64_t kMaxDiagnoseMiB = 1 << 20;

uint64_t number(const std::string& text, uint64_t least, uint64_t most) {
  uint64_t value = 0;
  const char* end = text.data() + text.size();
  const auto [stop, error] = std::from_chars(text.data(), end, value);
  if (error != std::errc{} || stop != end || value < least || value > most) {
    throw std::invalid_argument(
        fmt::format("'{}' is not a whole number from {} to {}", text, least, most));
  }
  return value;
}

template <typename T>
T choice(const std::string& text, std::initializer_list<std::pair<const char*, T>> choices) {
  std::string names;
  for (const auto& [name, value] : choices) {
    if (text == name) return value;
    names += names.empty() ? name : fmt::format(", {}", name);
  }
  throw std::invalid_argument(fmt::format("'{}' is not one of {}", text, names));
}

bool flag(const std::string& text) {
  return choice<bool>(text, {{"true", true}, {"1", true}, {"false", false}, {"0", false}});
}

void set_replicas(Options& o, const std::string& v) {
  o.replicas = static_cast<uint32_t>(number(v, 1, wire::kMaxReplicas));
}
void set_order(Options& o, const std::string& v) {
  o.order = choice<wire::Order>(
      v, {{"recorded", wire::Order::kRecorded}, {"independent", wire::Order::kIndependent}});
}
void set_follower(Options& o, const std::string& v) {
  o.follower = choice<wire::Follower>(
      v, {{"serial", wire::Follower::kSerial}, {"parallel", wire::Follower::kParallel}});
}
void set_mode(Options& o, const std::string& v) {
  o.mode = choice<wire::Mode>(
      v, {{"parallel", wire::Mode::kParallel}, {"sequential", wire::Mode::kSequential}});
}
void set_tracker(Options& o, const std::string& v) {
  o.tracker = choice<wire::Tracker>(v, {{"auto", wire::Tracker::kAuto},
                                        {"uffd", wire::Tracker::kUserfaultfd},
                                        {"mprotect", wire::Tracker::kMprotect}});
}
void set_poison_limit(Options& o, const std::string& v) {
  o.poison_limit = number(v, 0, UINT32_MAX);
}
void set_on_poison(Options& o, const std::string& v) {
  o.on_poison = choice<Poison>(v, {{"drop", Poison::kDrop}, {"crash", Poison::kCrash}});
}
void set_guard(Options& o, const std::string& v) {
  o.guard = choice<wire::Guard>(v, {{"off", wire::Guard::kOff},
                                    {"learn", wire::Guard::kLearn},
                                    {"strict", wire::Guard::kStrict}});
}
void set_state_dir(Options& o, const std::string& v) {
  if (v.empty()) throw std::invalid_argument("the directory is empty");
  o.state_dir = v;
}
void set_name(Options& o, const std::string& v) {
  bool good = !v.empty() && v.size() <= kMaxNameBytes && v.front() != '.' && v.front() != '-';
  for (const char c : v) {
    good = good && (std::isalnum(static_cast<unsigned char>(c)) != 0 || c == '.' || c == '_' ||
                    c == '-' || c == '+');
  }
  if (!good) {
    throw std::invalid_argument(fmt::format(
        "'{}' is not a name: 1 to {} of A-Z a-z 0-9 . _ + -, first not . or -", v, kMaxNameBytes));
  }
  o.name = v;
}
void set_hang_timeout(Options& o, const std::string& v) {
  o.hang_timeout_s = number(v, 1, kMaxHangTimeoutS);
}
void set_carriers(Options& o, const std::string& v) {
  o.carriers = static_cast<uint32_t>(number(v, 0, kMaxCarriers));
}
void set_force_mismatch(Options& o, const std::string& v) {
  o.force_mismatch = number(v, 0, UINT64_MAX);
}
void set_inject_crash(Options& o, const std::string& v) {
  o.inject_crash = number(v, 0, UINT64_MAX);
}
void set_mixer(Options& o, const std::string& v) {
  if (v.empty()) throw std::invalid_argument("the name is empty");
  o.mixer = v;
}
void set_false_conflicts(Options& o, const std::string& v) {
  o.false_conflicts = static_cast<uint32_t>(number(v, 0, UINT32_MAX));
}
void set_missed_conflicts(Options& o, const std::string& v) {
  o.missed_conflicts = static_cast<uint32_t>(number(v, 0, UINT32_MAX));
}
void set_rules(Options& o, const std::string& v) {
  if (v.empty()) throw std::invalid_argument("the name is empty");
  o.rules = v;
}
void set_mixer_lies(Options& o, const std::string& v) {
  o.mixer_lies = static_cast<uint32_t>(number(v, 0, 100));
}
void set_diagnose_limit(Options& o, const std::string& v) {
  o.diagnose_limit = number(v, 0, kMaxDiagnoseMiB) << 20;
}
void set_schedule(Options& o, const std::string& v) {
  o.schedule = choice<Schedule>(v, {{"recorded", Schedule::kRecorded},
                                    {"parallel", Schedule::kParallel},
                                    {"sequential", Schedule::kSequential}});
}
void set_times(Options& o, const std::string& v) {
  o.times = static_cast<uint32_t>(number(v, 1, UINT32_MAX));
}
void set_gdb(Options& o, const std::string& v) { o.gdb = flag(v); }
void set_report_bytes(Options& o, const std::string& v) {
  o.report_bytes = choice<record::ReportBytes>(
      v, {{"full", record::FULL}, {"changed", record::CHANGED}, {"none", record::NONE}});
}
void set_admin(Options& o, const std::string& v) { o.admin = parse_admin_address(v); }
void set_output(Options& o, const std::string& v) {
  if (v.empty()) throw std::invalid_argument("the file name is empty");
  o.output = v;
}
void set_once(Options& o, const std::string& v) { o.once = flag(v); }
void set_json(Options& o, const std::string& v) { o.json = flag(v); }

constexpr uint32_t kEverywhere = kForRun | kForStatus | kForReport | kForTop;

constexpr OptionRow kOptions[] = {
    {"replicas", "N", "2", "how many copies of the server run; 1 masks crashes only", kForRun,
     false, set_replicas},
    {"order", "recorded|independent", "recorded",
     "whether followers take locks in the primary's order or in their own", kForRun, false,
     set_order},
    {"follower", "serial|parallel", "serial if recorded, else parallel",
     "whether a follower runs one thread at a time", kForRun, false, set_follower},
    {"mode", "parallel|sequential", "parallel",
     "run the inputs of a batch concurrently, or one by one (the slow baseline)", kForRun, false,
     set_mode},
    {"tracker", "auto|uffd|mprotect", "auto", "how written pages are found", kForRun, false,
     set_tracker},
    {"on-poison", "drop|crash", "drop",
     "an input that crashes or hangs the server even alone: close its connection and go on, or let "
     "the server crash",
     kForRun, false, set_on_poison},
    {"poison-limit", "N", "60",
     "inputs that are dropped within a minute; the next one crashes the server", kForRun, false,
     set_poison_limit},
    {"guard", "off|learn|strict", "learn",
     "execute a batch again, one input at a time, if one input took a lock twice and another took "
     "it in between; learn: until that has proved harmless",
     kForRun, false, set_guard},
    {"mixer", "none|group-all|DIALECT|FILE|learn", "none",
     "which requests of a batch may run together: all; or those that do not conflict, by the "
     "protocol (DIALECT), by rules (FILE), or as divergences taught",
     kForRun, false, set_mixer},
    {"state-dir", "DIR", "$XDG_STATE_HOME/evenkeel; /var/lib/evenkeel for root",
     "where reports and the status socket live", kEverywhere, false, set_state_dir},
    {"name", "NAME", "base name of the server", "name of this run; two runs cannot share one",
     kEverywhere, false, set_name},
    {"hang-timeout", "S", "2",
     "seconds after which a batch that does not end counts as a hang and is executed again, one "
     "input at a time, with ten times as long for each (start-up is exempt)",
     kForRun, false, set_hang_timeout},
    {"carriers", "N", "0: the number of processors",
     "kernel threads that run the threads of a parallel replica", kForRun, false, set_carriers},
    {"admin", "127.0.0.1:PORT", "off",
     "serve metrics for Prometheus (/metrics) and a status page (/); loopback addresses only",
     kForRun, false, set_admin},
    {"report-bytes", "full|changed|none", "full",
     "what reports keep of memory, requests and answers, which can be secrets: all that explains "
     "them, only the bytes that differ, or none",
     kForRun, false, set_report_bytes},
    {"force-mismatch", "N", "0", "test hook: report every Nth batch as different", kForRun, true,
     set_force_mismatch},
    {"inject-crash", "N", "0", "test hook: crash a thread of a replica in one batch of N", kForRun,
     true, set_inject_crash},
    {"mixer-lies", "N", "0", "test hook: of a hundred footprints, so many are wrong", kForRun, true,
     set_mixer_lies},
    {"rules", "FILE|DIALECT", "memcached", "what explains the requests, as for run --mixer",
     kForMixer, false, set_rules},
    {"diagnose-limit", "MIB", "48",
     "failed batches are executed again, beside the service, from a copy of the server's state of "
     "at "
     "most this size, to find the code that raced; 0: never",
     kForRun, false, set_diagnose_limit},
    {"schedule", "recorded|parallel|sequential", "recorded",
     "in which order: of locks as recorded, with threads changing places where bytes differed; "
     "free, "
     "on all processors; one input at a time",
     kForReplay, false, set_schedule},
    {"times", "N", "1", "how often the batch is executed", kForReplay, false, set_times},
    {"gdb", "", "",
     "execute it once in gdb, which stops at the first write to the bytes that were raced for",
     kForReplay, false, set_gdb},
    {"false-conflicts", "N", "0",
     "experiment: keep annotated requests apart that need not be, one pair in N", kForRun, true,
     set_false_conflicts},
    {"missed-conflicts", "N", "0",
     "experiment: overlook conflicts of annotated requests, one pair in N", kForRun, true,
     set_missed_conflicts},
    {"json", "", "", "print JSON", kForStatus | kForReport, false, set_json},
    {"output", "FILE", "", "file that html and export write", kForReport, false, set_output, "o"},
    {"once", "", "", "print one screen and end", kForTop, false, set_once},
};

constexpr CommandRow kCommands[] = {
    {"run", "[OPTIONS] -- SERVER [ARGS...]", "run a server as verified replicas"},
    {"status", "[--name NAME] [--json]", "show the counters of a running server"},
    {"top", "[--name NAME] [--once]", "watch the counters of a running server"},
    {"report", "list|show ID|html ID -o FILE|export ID -o BUNDLE [--name NAME] [--json]",
     "read the reports of divergences and faults, or make a page or a bundle of one"},
    {"mixer", "explain [--rules FILE|DIALECT]",
     "read requests from standard input and show what each reads and writes"},
    {"replay", "BUNDLE [--schedule SCHEDULE] [--times N] [--gdb]",
     "execute a stored batch again, offline, and say how often it diverged"},
    {"doctor", "", "show what this kernel offers, what is used, and what is missing"},
    {"completion", "bash", "print a completion script for the shell"},
    {"man", "", "print the manual page"},
};

}  // namespace

std::string OptionRow::env() const {
  std::string text = "EVENKEEL_";
  for (const char* c = name; *c != '\0'; ++c) {
    text += *c == '-' ? '_' : static_cast<char>(std::toupper(static_cast<unsigned char>(*c)));
  }
  return text;
}

std::span<const OptionRow> option_table() { return kOptions; }
std::span<const CommandRow> command_table() { return kCommands; }

}  // namespace evenkeel::host
