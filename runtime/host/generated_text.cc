// Completion and manual page, from the same tables as the parser.
#include <fmt/format.h>

#include <string>
#include <string_view>

#include "runtime/host/command_line.h"

namespace evenkeel::host {
namespace {

std::string joined_commands() {
  std::string text;
  for (const CommandRow& row : command_table()) text += fmt::format("{} ", row.name);
  return text;
}

std::string options_of(uint32_t bit) {
  std::string text;
  for (const OptionRow& row : option_table()) {
    if ((row.commands & bit) != 0 && !row.hidden) text += fmt::format("--{} ", row.name);
  }
  return text;
}

std::string value_cases() {
  std::string text;
  for (const OptionRow& row : option_table()) {
    std::string values(row.value);
    if (values.find('|') == std::string::npos) continue;
    for (char& c : values) c = c == '|' ? ' ' : c;
    text += fmt::format("    --{}) COMPREPLY=($(compgen -W \"{}\" -- \"$word\")); return ;;\n",
                        row.name, values);
  }
  return text;
}

// In roff a hyphen that must stay a minus sign, and a leading dot or quote, are escaped.
std::string roff(std::string_view text) {
  std::string out;
  for (const char c : text) {
    if (c == '-' || c == '\\') out += '\\';
    out += c;
  }
  return out.starts_with('.') || out.starts_with('\'') ? fmt::format("\\&{}", out) : out;
}

std::string man_options() {
  std::string text;
  for (const OptionRow& row : option_table()) {
    if (row.hidden) continue;
    text += fmt::format(".TP\n.BI {}", roff(fmt::format("--{}", row.name)));
    if (*row.value != '\0') text += fmt::format(" \" {}\"", roff(row.value));
    text += fmt::format("\n{}.\n", roff(row.help));
    if (*row.fallback != '\0') text += fmt::format("Default: {}.\n", roff(row.fallback));
    text += fmt::format("Environment:\n.BR {} .\n", row.env());
  }
  return text;
}

std::string man_commands() {
  std::string text;
  for (const CommandRow& row : command_table()) {
    text +=
        fmt::format(".TP\n.B evenkeel {} {}\n{}.\n", row.name, roff(row.synopsis), roff(row.help));
  }
  return text;
}

}  // namespace

std::string bash_completion() {
  return fmt::format(
      R"(# bash completion for evenkeel; source it or put it into bash_completion.d
_evenkeel() {{
  local word=${{COMP_WORDS[COMP_CWORD]}} previous=${{COMP_WORDS[COMP_CWORD-1]}} command=${{COMP_WORDS[1]}}
  local i
  for ((i = 1; i < COMP_CWORD; ++i)); do
    if [[ ${{COMP_WORDS[i]}} == -- ]]; then _command_offset $((i + 1)); return; fi
  done
  case $previous in
{}    --state-dir) COMPREPLY=($(compgen -d -- "$word")); return ;;
  esac
  if ((COMP_CWORD == 1)); then COMPREPLY=($(compgen -W "{}" -- "$word")); return; fi
  case $command in
    run) COMPREPLY=($(compgen -W "{} --" -- "$word")) ;;
    status) COMPREPLY=($(compgen -W "{}" -- "$word")) ;;
    top) COMPREPLY=($(compgen -W "{}" -- "$word")) ;;
    report) COMPREPLY=($(compgen -W "list show html export {}" -- "$word")) ;;
    replay) COMPREPLY=($(compgen -f -W "{}" -- "$word")) ;;
    mixer) COMPREPLY=($(compgen -W "explain {}" -- "$word")) ;;
    completion) COMPREPLY=($(compgen -W "bash" -- "$word")) ;;
  esac
}}
complete -F _evenkeel evenkeel
)",
      value_cases(), joined_commands(), options_of(kForRun), options_of(kForStatus),
      options_of(kForTop), options_of(kForReport), options_of(kForReplay), options_of(kForMixer));
}

std::string man_page() {
  return fmt::format(
      R"(.TH EVENKEEL 1 "" "evenkeel {}" "User Commands"
.SH NAME
evenkeel \- keep a multithreaded server upright when its own races bite
.SH SYNOPSIS
.B evenkeel run
.RI [ options ]
.B \-\-
.I server
.RI [ args ]
.br
.B LD_PRELOAD=libevenkeel.so
.I server
.RI [ args ]
.SH DESCRIPTION
Runs an unmodified server as several replicas, gives all of them the same batches of requests,
compares their heaps after each batch, and releases the replies only when they agree. When a race
made them differ, all roll back to the last agreed state and the batch runs again sequentially.
.SH COMMANDS
{}.SH OPTIONS
{}.SH EXIT STATUS
The server's own status. When the server ends by a signal, evenkeel ends by the same signal.
.TP
.B 2
The request was malformed or cannot be met; nothing was started.
.TP
.B 70
No replica answered any more; a report was written.
.TP
.B 126, 127
The server is not executable, or was not found.
.SH FILES
.TP
.I STATE_DIR/NAME/reports/ID.report
One report per divergence or fault, read by
.BR "evenkeel report" ;
the oldest are removed beyond 256 or 256 MiB.
They hold bytes of the server's memory and requests unless
.B \-\-report\-bytes
withholds them.
.TP
.I STATE_DIR/NAME/admin.sock
Where
.B evenkeel status
asks.
.SH SEE ALSO
.BR userfaultfd (2)
)",
      EVENKEEL_VERSION, man_commands(), man_options());
}

}  // namespace evenkeel::host
