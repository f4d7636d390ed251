// Kind: unsafe publication.
// Modelled on: MySQL #12848 (the query cache's new size is set before the cache of that size is
// there).
// Manifests: a query is stored in a cache that has a size and no memory: SIGSEGV.
#include <cstdlib>

#include "examples/zoo/support/server.h"

namespace {

struct Entry {
  unsigned long query;
  uint32_t seal;
};

struct QueryCache {
  Entry* table;
  size_t size;  // 0: switched off
};

volatile QueryCache cache;
pthread_mutex_t cache_lock = PTHREAD_MUTEX_INITIALIZER;

Entry* make_table(size_t size) {
  auto* table = static_cast<Entry*>(std::malloc(size * sizeof(Entry)));
  for (size_t i = 0; i < size; ++i) table[i] = {0, zoo::checksum(&i, sizeof i)};
  return table;
}

void switch_off() {
  const zoo::Locked locked(cache_lock);
  std::free(cache.table);
  cache.table = nullptr;
  cache.size = 0;
}

void resize(size_t size) {
  switch_off();
  cache.size = size;  // RACE 1
  Entry* table = make_table(size);
  cache.table = table;  // RACE 1
}

bool store(unsigned long query) {
  const zoo::Locked locked(cache_lock);
  if (cache.size == 0) return false;                // RACE 2
  Entry* entry = &cache.table[query % cache.size];  // RACE 2
  entry->query = query;
  entry->seal = zoo::checksum(&query, sizeof query);
  return true;
}

// resize ENTRIES -> OK; store QUERY -> STORED, or OFF
void answer(zoo::Connection&, const zoo::Request& request, std::string& reply) {
  if (request.is("resize")) {
    resize(request.number(1));
    reply += "OK";
  } else if (request.is("store")) {
    reply += store(request.number(1)) ? "STORED" : "OFF";
  } else {
    reply += "ERROR";
  }
}

}  // namespace

int main(int argc, char** argv) {
  return zoo::serve_with_thread_per_connection(argc, argv, answer);
}
