// Kind: atomicity violation; corrupted buffer.
// Modelled on: Apache #25520 (mod_log_config's buffered writer takes the end of the buffer, copies
// a line there, and moves the end, without a lock). Manifests: lines of the log are overwritten by
// others, or torn, or followed by holes.
#include <cstdio>
#include <cstring>

#include "examples/zoo/support/server.h"

namespace {

constexpr size_t kLogBytes = 32 << 10;
constexpr size_t kReserveBytes = 4 << 10;  // for lines that come while the buffer gets full

struct Log {
  volatile size_t used;
  char output[kLogBytes];
};

Log access_log;

bool write_log(const char* line, size_t size) {
  if (access_log.used + size > kLogBytes - kReserveBytes) return false;
  char* end = &access_log.output[access_log.used];  // RACE 1
  for (size_t i = 0; i < size; ++i) end[i] = line[i];
  access_log.used = access_log.used + size;  // RACE 2
  return true;
}

bool hit(const char* who, unsigned long number) {
  char line[80];
  const int size = std::snprintf(line, sizeof line, "%s:%06lu:%08x;", who, number,
                                 zoo::checksum(&number, sizeof number));
  return write_log(line, static_cast<size_t>(size));
}

void read_log(std::string& reply) {
  for (size_t i = 0; i < access_log.used; ++i) {
    const char c = access_log.output[i];
    reply += c > ' ' ? c : '?';  // a hole
  }
  std::memset(access_log.output, 0, sizeof access_log.output);
  access_log.used = 0;
}

// hit WHO NUMBER -> OK, or FULL; log -> what was logged since the last time
void answer(zoo::Connection&, const zoo::Request& request, std::string& reply) {
  if (request.is("hit")) {
    reply += hit(request.word(1), request.number(2)) ? "OK" : "FULL";
  } else if (request.is("log")) {
    read_log(reply);
  } else {
    reply += "ERROR";
  }
}

}  // namespace

int main(int argc, char** argv) { return zoo::serve_with_worker_pool(argc, argv, answer); }
