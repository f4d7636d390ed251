#include <exception>
#include <string>

#include "runtime/host/command_line.h"
#include "runtime/host/commands.h"
#include "runtime/host/refusal.h"
#include "runtime/host/replay.h"

namespace {

using namespace evenkeel::host;

int dispatch(const CommandLine& line) {
  if (line.command == "run") return run_command(line);
  if (line.command == "status") return status_command(line);
  if (line.command == "top") return top_command(line);
  if (line.command == "report") return report_command(line);
  if (line.command == "mixer") return mixer_command(line);
  if (line.command == "replay") return replay_command(line);
  if (line.command == "diagnose") return diagnose_command(line);
  if (line.command == "doctor") return doctor_command();
  if (line.command == "completion") return completion_command(line);
  if (line.command == "man") return man_command();
  fmt::print("{}", line.text);
  return 0;
}

}  // namespace

int main(int argc, char** argv) {
  try {
    return dispatch(parse_command_line(argc, argv));
  } catch (const Refusal& refusal) {
    say("{}", refusal.what());
    if (!refusal.next_step().empty()) fmt::print(stderr, "  next: {}\n", refusal.next_step());
    return refusal.status();
  } catch (const std::exception& e) {
    say("failed: {}", e.what());
    return kExitHung;
  }
}
