// Kind: data race, readers without a lock during a resize.
// Modelled on: JDK-6423457 (java.util.HashMap used by several threads: entries cannot be found, or
// a lookup never ends, while another thread resizes the table). Manifests: a key that was stored is
// not found.
#include <cstdlib>

#include "examples/zoo/support/server.h"

namespace {

constexpr size_t kFirstSize = 16;

struct Node {
  unsigned long key;
  unsigned long value;
  Node* volatile next;
};

struct Table {
  size_t size;
  Node* volatile* buckets;
  Table* retired;  // the one before it
};

Table* volatile table;
size_t count;
pthread_mutex_t write_lock = PTHREAD_MUTEX_INITIALIZER;

Table* make_table(size_t size, Table* retired) {
  auto* fresh = static_cast<Table*>(std::malloc(sizeof(Table)));
  fresh->size = size;
  fresh->retired = retired;
  fresh->buckets = static_cast<Node* volatile*>(std::calloc(size, sizeof(Node*)));
  return fresh;
}

void link(Table* to, Node* node) {
  Node* volatile& head = to->buckets[node->key % to->size];
  node->next = head;
  head = node;
}

// The old table stays until the next clear: somebody may be reading it.
void grow() {
  Table* old = table;
  Table* fresh = make_table(old->size * 2, old);
  for (size_t i = 0; i < old->size; ++i) {
    while (Node* node = old->buckets[i]) {
      old->buckets[i] = node->next;  // RACE 1
      link(fresh, node);             // RACE 1
    }
  }
  table = fresh;  // RACE 1
}

void set(unsigned long key, unsigned long value) {
  const zoo::Locked locked(write_lock);
  if (count > table->size) grow();
  auto* node = static_cast<Node*>(std::malloc(sizeof(Node)));
  node->key = key;
  node->value = value;
  link(table, node);
  ++count;
}

const Node* find(unsigned long key) {
  const Table* now = table;                                       // RACE 2
  const Node* node = now->buckets[key % now->size];               // RACE 2
  while (node != nullptr && node->key != key) node = node->next;  // RACE 2
  return node;
}

void free_table(Table* old) {
  for (size_t i = 0; i < old->size; ++i) {
    while (Node* node = old->buckets[i]) {
      old->buckets[i] = node->next;
      std::free(node);
    }
  }
  std::free(const_cast<Node**>(old->buckets));
  std::free(old);
}

// An operator's command, for times when nobody else is there.
void clear() {
  const zoo::Locked locked(write_lock);
  Table* old = table;
  table = make_table(kFirstSize, nullptr);
  count = 0;
  while (old != nullptr) {
    Table* next = old->retired;
    free_table(old);
    old = next;
  }
}

// set KEY VALUE -> OK, for new keys; get KEY -> its value, or NOT_FOUND; clear -> OK
void answer(zoo::Connection&, const zoo::Request& request, std::string& reply) {
  if (request.is("set")) {
    set(request.number(1), request.number(2));
    reply += "OK";
  } else if (request.is("get")) {
    const Node* node = find(request.number(1));
    reply += node == nullptr ? "NOT_FOUND" : std::to_string(node->value);
  } else if (request.is("clear")) {
    clear();
    reply += "OK";
  } else {
    reply += "ERROR";
  }
}

}  // namespace

int main(int argc, char** argv) {
  table = make_table(kFirstSize, nullptr);
  return zoo::serve_with_thread_per_connection(argc, argv, answer);
}
