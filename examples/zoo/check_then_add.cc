// Kind: atomicity violation, check-then-act on a container.
// Modelled on: memcached #1242 (`add`, of many clients at once, stores a key more than once).
// Manifests: more than one client is told that it was the one that added the key.
#include <cstdlib>

#include "examples/zoo/support/server.h"

namespace {

constexpr size_t kBuckets = 4096;

struct Node {
  unsigned long key;
  uint32_t sum;
  Node* next;
};

Node* volatile buckets[kBuckets];
pthread_mutex_t table_lock = PTHREAD_MUTEX_INITIALIZER;

// Readers need no lock: a node is complete before it is linked.
bool contains(unsigned long key) {
  for (const Node* node = buckets[key % kBuckets]; node != nullptr; node = node->next) {  // RACE 1
    if (node->key == key) return true;
  }
  return false;
}

void link(Node* node) {
  const zoo::Locked locked(table_lock);
  Node* volatile& head = buckets[node->key % kBuckets];
  node->next = head;
  head = node;  // RACE 2
}

bool add(unsigned long key) {
  if (contains(key)) return false;
  auto* node = static_cast<Node*>(std::malloc(sizeof(Node)));
  node->key = key;
  node->sum = zoo::checksum(&key, sizeof key);
  link(node);
  return true;
}

// add KEY -> STORED for the first, EXISTS for all others
void answer(zoo::Connection&, const zoo::Request& request, std::string& reply) {
  if (!request.is("add")) {
    reply += "ERROR";
    return;
  }
  reply += add(request.number(1)) ? "STORED" : "EXISTS";
}

}  // namespace

int main(int argc, char** argv) { return zoo::serve_with_worker_pool(argc, argv, answer); }
