#pragma once
// From argv and the environment to one decided request.
#include <string>
#include <vector>

#include "runtime/host/options.h"

namespace evenkeel::host {

struct CommandLine {
  std::string command;  // a CommandRow::name, or "" when `text` answers the request
  Options options;
  std::vector<std::string> server;  // run: the server and its arguments
  std::vector<std::string> words;   // report, completion: positional words
  std::string text;                 // --help, --version: print this and exit 0
};

// Throws Refusal (exit 2).
[[nodiscard]] CommandLine parse_command_line(int argc, const char* const* argv);

// Generated from the tables.
[[nodiscard]] std::string bash_completion();
[[nodiscard]] std::string man_page();

}  // namespace evenkeel::host
