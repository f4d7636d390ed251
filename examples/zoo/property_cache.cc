// Kind: atomicity violation, two variables that belong together.
// Modelled on: Mozilla's property cache, `table` and `empty` (Lu et al., "Learning from mistakes",
// ASPLOS 2008).
// Manifests: a flush marks the cache empty while another thread fills it; the next flush is
// skipped, and a value that was replaced is read from the cache.
#include "examples/zoo/support/server.h"

namespace {

constexpr size_t kEntries = 1024;
constexpr size_t kNames = 1024;

struct Entry {
  unsigned long name;  // 0: free
  unsigned long value;
};

struct PropertyCache {
  Entry table[kEntries];
  bool empty;
};

volatile PropertyCache cache = {{}, true};
unsigned long properties[kNames];
pthread_mutex_t properties_lock = PTHREAD_MUTEX_INITIALIZER;

void flush() {
  if (cache.empty) return;  // RACE 2
  for (volatile Entry& entry : cache.table) {
    entry.name = 0;   // RACE 2
    entry.value = 0;  // RACE 2
  }
  cache.empty = true;  // RACE 2
}

void fill(unsigned long name, unsigned long value) {
  volatile Entry& entry = cache.table[name % kEntries];
  entry.value = value;  // RACE 1
  entry.name = name;    // RACE 1
  cache.empty = false;  // RACE 1
}

void set(unsigned long name, unsigned long value) {
  {
    const zoo::Locked locked(properties_lock);
    properties[name % kNames] = value;
  }
  flush();
}

unsigned long get(unsigned long name) {
  const volatile Entry& entry = cache.table[name % kEntries];
  if (entry.name == name) return entry.value;  // RACE 1
  unsigned long value = 0;
  {
    const zoo::Locked locked(properties_lock);
    value = properties[name % kNames];
  }
  fill(name, value);
  return value;
}

// set NAME VALUE -> OK; get NAME -> its value
void answer(zoo::Connection&, const zoo::Request& request, std::string& reply) {
  if (request.is("set")) {
    set(request.number(1), request.number(2));
    reply += "OK";
  } else if (request.is("get")) {
    reply += std::to_string(get(request.number(1)));
  } else {
    reply += "ERROR";
  }
}

}  // namespace

int main(int argc, char** argv) {
  return zoo::serve_with_thread_per_connection(argc, argv, answer);
}
