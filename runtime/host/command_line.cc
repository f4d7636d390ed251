#include "runtime/host/command_line.h"

#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <cstring>

#include "runtime/host/refusal.h"

namespace evenkeel::host {
namespace {

constexpr char kVersionText[] = "evenkeel " EVENKEEL_VERSION "\n";

uint32_t bit_of(const std::string& command) {
  if (command == "run") return kForRun;
  if (command == "status") return kForStatus;
  if (command == "report") return kForReport;
  if (command == "mixer") return kForMixer;
  if (command == "replay") return kForReplay;
  if (command == "top") return kForTop;
  return 0;
}

void set_from_text(const OptionRow& row, Options& options, const std::string& text) {
  try {
    row.set(options, text);
  } catch (const std::invalid_argument& e) {
    throw CLI::ValidationError(fmt::format("--{}", row.name), e.what());
  }
}

void add_option(CLI::App& app, const OptionRow& row, Options& options) {
  const std::string letter = *row.letter == '\0' ? "" : fmt::format("-{},", row.letter);
  const std::string flag = fmt::format("{}--{}", letter, row.name);
  const auto set = [&row, &options](const std::string& text) { set_from_text(row, options, text); };
  if (*row.value == '\0') {
    app.add_flag_callback(
           flag, [set] { set("true"); }, row.help)
        ->envname(row.env());
    return;
  }
  CLI::Option* option = app.add_option_function<std::string>(flag, set, row.help);
  option->envname(row.env())->type_name(row.value);
  if (*row.fallback != '\0') option->description(fmt::format("{} [{}]", row.help, row.fallback));
  if (row.hidden) option->group("");
}

void add_commands(CLI::App& app, CommandLine& line) {
  for (const CommandRow& row : command_table()) {
    CLI::App* command = app.add_subcommand(row.name, row.help);
    command->callback([&line, &row] { line.command = row.name; });
    const uint32_t bit = bit_of(row.name);
    for (const OptionRow& option : option_table()) {
      if ((option.commands & bit) != 0) add_option(*command, option, line.options);
    }
    if (line.command.empty() &&
        (std::strcmp(row.name, "report") == 0 || std::strcmp(row.name, "mixer") == 0 ||
         std::strcmp(row.name, "replay") == 0 || std::strcmp(row.name, "completion") == 0)) {
      command->add_option("words", line.words, row.synopsis)->required();
    }
    if (bit == kForRun) command->footer("The server and its arguments follow after --.");
  }
  // The coordinator's own: not shown.
  CLI::App* diagnose = app.add_subcommand("diagnose")->group("");
  diagnose->callback([&line] { line.command = "diagnose"; });
  diagnose->add_option("words", line.words)->required();
}

// CLI11 never sees what stands behind "--": the server's options are the server's.
int own_argument_count(int argc, const char* const* argv) {
  for (int i = 1; i < argc; ++i) {
    if (std::strcmp(argv[i], "--") == 0) return i;
  }
  return argc;
}

void parse(CLI::App& app, CommandLine& line, int argc, const char* const* argv) {
  try {
    app.parse(argc, argv);
  } catch (const CLI::CallForHelp&) {
    line.text = app.help();
  } catch (const CLI::CallForVersion&) {
    line.text = kVersionText;
  } catch (const CLI::ParseError& e) {
    throw Refusal(kExitUsage, e.what(), "see evenkeel --help or evenkeel run --help");
  }
}

}  // namespace

CommandLine parse_command_line(int argc, const char* const* argv) {
  CommandLine line;
  CLI::App app("Keeps a multithreaded server upright when its own races bite.", "evenkeel");
  app.set_version_flag("--version", kVersionText);
  app.require_subcommand(1);
  add_commands(app, line);
  const int own = own_argument_count(argc, argv);
  parse(app, line, own, argv);
  if (!line.text.empty()) {
    line.command.clear();
    return line;
  }
  for (int i = own + 1; i < argc; ++i) line.server.emplace_back(argv[i]);
  if (line.command == "run" && line.server.empty()) {
    throw Refusal(kExitUsage, "no server to run",
                  "put the server after --, as in: evenkeel run -- memcached -t 4");
  }
  if (line.command != "run" && own != argc) {
    throw Refusal(kExitUsage, fmt::format("'{}' takes nothing after --", line.command),
                  "see evenkeel --help");
  }
  return line;
}

}  // namespace evenkeel::host
