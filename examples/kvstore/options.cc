#include "examples/kvstore/options.h"

#include <getopt.h>

#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <iterator>

namespace kvstore {
namespace {

constexpr const char* kBugNames[] = {"none", "lost-update", "torn-value", "unlocked-chain",
                                     "split-lock"};

constexpr char kUsage[] =
    "usage: kvstore [--listen ADDRESS] [--port N] [--threads N] [--buckets N] [--work N]\n"
    "               [--work-us N] [--bug none|lost-update|torn-value|unlocked-chain|split-lock]\n";

[[noreturn]] void usage(const char* what, const char* value) {
  std::fprintf(stderr, "kvstore: %s: %s\n%s", what, value, kUsage);
  std::exit(2);
}

unsigned number(const char* name, const char* text, unsigned long low, unsigned long high) {
  char* end = nullptr;
  const unsigned long value = std::strtoul(text, &end, 10);
  if (*text == '\0' || *text == '-' || *end != '\0') usage(name, text);
  if (value < low || value > high) usage(name, text);
  return static_cast<unsigned>(value);
}

Bug parse_bug(const char* text) {
  for (size_t i = 0; i < std::size(kBugNames); ++i) {
    if (std::strcmp(text, kBugNames[i]) == 0) return static_cast<Bug>(i);
  }
  usage("unknown bug", text);
}

void apply(Options& options, int letter, const char* text) {
  switch (letter) {
    case 'l':
      options.listen = text;
      break;
    case 'p':
      options.port = static_cast<uint16_t>(number("bad port", text, 1, 65535));
      break;
    case 't':
      options.threads = number("bad number of threads", text, 1, 256);
      break;
    case 'k':
      options.buckets = number("bad number of buckets", text, 1, 1 << 20);
      break;
    case 'w':
      options.work = number("bad amount of work", text, 0, 1000000000);
      break;
    case 'u':
      options.work_us = number("bad amount of work", text, 0, 10000000);
      break;
    case 'b':
      options.bug = parse_bug(text);
      break;
    case 'h':
      std::fputs(kUsage, stdout);
      std::exit(0);
    default:
      std::fputs(kUsage, stderr);
      std::exit(2);
  }
}

}  // namespace

Options parse_options(int argc, char** argv) {
  static const option kLong[] = {{"listen", required_argument, nullptr, 'l'},
                                 {"port", required_argument, nullptr, 'p'},
                                 {"threads", required_argument, nullptr, 't'},
                                 {"buckets", required_argument, nullptr, 'k'},
                                 {"work", required_argument, nullptr, 'w'},
                                 {"work-us", required_argument, nullptr, 'u'},
                                 {"bug", required_argument, nullptr, 'b'},
                                 {"help", no_argument, nullptr, 'h'},
                                 {nullptr, 0, nullptr, 0}};
  Options options;
  int letter = 0;
  while ((letter = getopt_long(argc, argv, "l:p:t:k:w:u:b:h", kLong, nullptr)) != -1) {
    apply(options, letter, optarg);
  }
  if (optind != argc) usage("unexpected argument", argv[optind]);
  return options;
}

const char* bug_name(Bug bug) { return kBugNames[static_cast<size_t>(bug)]; }

}  // namespace kvstore
