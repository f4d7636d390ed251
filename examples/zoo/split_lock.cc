// Kind: atomicity violation, one variable, no unlocked access.
// Modelled on: memcached #127 (incr takes the item under the lock, and replaces it under the lock,
// but lets go in between).
// Manifests: two increments get the same answer, one of them is lost.
#include <cstdio>
#include <cstdlib>
#include <cstring>

#include "examples/zoo/support/server.h"

namespace {

constexpr size_t kItems = 16;

struct Item {
  char text[24];  // numbers are kept as text
};

Item items[kItems];
pthread_mutex_t cache_lock = PTHREAD_MUTEX_INITIALIZER;

Item item_get(size_t key) {
  const zoo::Locked locked(cache_lock);
  return items[key];  // RACE 1
}

void item_replace(size_t key, const Item& item) {
  const zoo::Locked locked(cache_lock);
  items[key] = item;  // RACE 2
}

Item add_delta(size_t key, unsigned long delta) {
  Item item = item_get(key);
  const unsigned long value = std::strtoul(item.text, nullptr, 10) + delta;
  std::snprintf(item.text, sizeof item.text, "%lu", value);
  item_replace(key, item);
  return item;
}

// incr KEY -> the new number
void answer(zoo::Connection&, const zoo::Request& request, std::string& reply) {
  if (!request.is("incr")) {
    reply += "ERROR";
    return;
  }
  reply += add_delta(request.number(1) % kItems, 1).text;
}

}  // namespace

int main(int argc, char** argv) { return zoo::serve_with_worker_pool(argc, argv, answer); }
