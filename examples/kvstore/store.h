#pragma once
// The store: a hash table of reference-counted items, one lock per bucket.
// Threads: any, except where the planted bug says otherwise.
// Memory:  an item is freed by whoever drops its last reference.
// Errors:  none; the protocol layer checks sizes before it calls.
#include <pthread.h>

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "examples/kvstore/options.h"

namespace kvstore {

struct Item {
  Item* next = nullptr;              // hash chain; the bucket's lock
  Item* next_buried = nullptr;       // see Store::bury
  std::atomic<unsigned> references;  // one for the chain, one per user
  std::atomic<bool> linked;
  uint32_t flags = 0;
  std::string key;
  size_t bytes = 0;         // of the value; the bucket's lock
  std::vector<char> value;  // room for `bytes`, or for any number if that is longer
};

struct Value {
  uint32_t flags = 0;
  std::string data;
};

enum class IncrementStatus { kDone, kNotFound, kNotNumber };

class Store {
 public:
  Store(unsigned buckets, Bug bug, unsigned work);
  ~Store();
  Store(const Store&) = delete;
  Store& operator=(const Store&) = delete;

  bool get(std::string_view key, Value& out);
  void set(std::string_view key, uint32_t flags, std::string_view value);
  bool remove(std::string_view key);
  IncrementStatus increment(std::string_view key, uint64_t delta, uint64_t& result);
  size_t count_items();
  [[nodiscard]] size_t bucket_number(std::string_view key) const;

 private:
  struct Bucket {
    pthread_mutex_t lock;
    Item* head;
  };
  class ChainLock;

  Bucket& bucket_of(std::string_view key);
  Item* find(Bucket& bucket, std::string_view key);     // chain lock held
  Item* acquire(Bucket& bucket, std::string_view key);  // takes the chain lock itself
  void link(Bucket& bucket, Item* item);
  void unlink(Bucket& bucket, Item* item);
  void release(Item* item);
  void bury(Item* item);
  bool overwrite(Bucket& bucket, std::string_view key, uint32_t flags, std::string_view value);
  IncrementStatus increment_unlocked(Bucket& bucket, Item& item, uint64_t delta, uint64_t& result);
  IncrementStatus increment_split(Bucket& bucket, Item& item, uint64_t delta, uint64_t& result);
  void compute() const;  // what a real server would do here takes time

  std::vector<Bucket> buckets_;
  const Bug bug_;
  const unsigned work_;
  pthread_mutex_t graveyard_lock_;
  Item* graveyard_ = nullptr;
};

}  // namespace kvstore
