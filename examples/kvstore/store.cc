#include "examples/kvstore/store.h"

#include <evenkeel/annotate.h>

#include <algorithm>
#include <charconv>
#include <cstring>

namespace kvstore {
namespace {

constexpr size_t kNumberBytes = 20;  // the longest uint64_t in decimal

// FNV-1a: no seed, so that a key's bucket is the same in every run.
uint64_t hash(std::string_view key) {
  uint64_t value = 14695981039346656037ull;
  for (const char c : key) value = (value ^ static_cast<unsigned char>(c)) * 1099511628211ull;
  return value ^ (value >> 32);
}

Item* make_item(std::string_view key, uint32_t flags, std::string_view value) {
  auto* item = new Item;
  item->references.store(1, std::memory_order_relaxed);  // the chain's
  item->linked.store(true, std::memory_order_relaxed);
  item->flags = flags;
  item->key = key;
  item->bytes = value.size();
  item->value.resize(std::max(value.size(), kNumberBytes));
  std::copy(value.begin(), value.end(), item->value.begin());
  return item;
}

bool read_number(const Item& item, uint64_t& number) {
  const char* end = item.value.data() + item.bytes;                     // race: lost-update
  const auto parsed = std::from_chars(item.value.data(), end, number);  // race: lost-update
  return parsed.ec == std::errc() && parsed.ptr == end;
}

void write_number(Item& item, uint64_t number) {
  char* begin = item.value.data();
  const auto printed = std::to_chars(begin, begin + kNumberBytes, number);  // race: lost-update
  item.bytes = static_cast<size_t>(printed.ptr - begin);                    // race: lost-update
}

}  // namespace

// The bucket's lock, which the unlocked-chain bug forgets.
class Store::ChainLock {
 public:
  ChainLock(Store& store, Bucket& bucket)
      : lock_(store.bug_ == Bug::kUnlockedChain ? nullptr : &bucket.lock) {
    if (lock_ != nullptr) pthread_mutex_lock(lock_);
  }
  ~ChainLock() {
    if (lock_ != nullptr) pthread_mutex_unlock(lock_);
  }
  ChainLock(const ChainLock&) = delete;
  ChainLock& operator=(const ChainLock&) = delete;

 private:
  pthread_mutex_t* lock_;
};

Store::Store(unsigned buckets, Bug bug, unsigned work) : buckets_(buckets), bug_(bug), work_(work) {
  for (Bucket& bucket : buckets_) {
    pthread_mutex_init(&bucket.lock, nullptr);
    bucket.head = nullptr;
  }
  pthread_mutex_init(&graveyard_lock_, nullptr);
  EVENKEEL_NAME(buckets_.data(), buckets_.size() * sizeof(Bucket), "buckets");
}

Store::~Store() {
  // A chain broken by the unlocked-chain bug may still lead to buried items: those are freed once,
  // below.
  for (Bucket& bucket : buckets_) {
    for (Item* item = bucket.head; item != nullptr;) {
      Item* next = item->next;
      if (item->linked) delete item;
      item = next;
    }
    pthread_mutex_destroy(&bucket.lock);
  }
  while (graveyard_ != nullptr) {
    Item* next = graveyard_->next_buried;
    delete graveyard_;
    graveyard_ = next;
  }
  pthread_mutex_destroy(&graveyard_lock_);
}

void Store::compute() const {
  for (unsigned i = 0; i < work_; ++i) asm volatile("" ::: "memory");
}

size_t Store::bucket_number(std::string_view key) const { return hash(key) % buckets_.size(); }

Store::Bucket& Store::bucket_of(std::string_view key) { return buckets_[bucket_number(key)]; }

Item* Store::find(Bucket& bucket, std::string_view key) {
  Item* item = bucket.head;                                       // race: unlocked-chain
  while (item != nullptr && item->key != key) item = item->next;  // race: unlocked-chain
  return item;
}

Item* Store::acquire(Bucket& bucket, std::string_view key) {
  const ChainLock lock(*this, bucket);
  Item* item = find(bucket, key);
  if (item != nullptr) item->references.fetch_add(1, std::memory_order_relaxed);
  return item;
}

// Between reading the head and writing it another thread's insertion is lost, if nothing locks.
void Store::link(Bucket& bucket, Item* item) {
  item->next = bucket.head;  // race: unlocked-chain
  compute();
  bucket.head = item;  // race: unlocked-chain
}

void Store::unlink(Bucket& bucket, Item* item) {
  Item** place = &bucket.head;
  while (*place != nullptr && *place != item) place = &(*place)->next;  // race: unlocked-chain
  if (*place == item) *place = item->next;                              // race: unlocked-chain
  // Without the lock two threads may get here with one item: only the first drops the chain's
  // reference.
  if (item->linked.exchange(false, std::memory_order_relaxed)) release(item);
}

void Store::release(Item* item) {
  // acq_rel: what every user did with the item happens before its end.
  if (item->references.fetch_sub(1, std::memory_order_acq_rel) != 1) return;
  if (bug_ == Bug::kUnlockedChain) {
    bury(item);
  } else {
    delete item;
  }
}

// With unlocked chains somebody may still walk over an unlinked item. It is kept until the end, so
// that what a user sees of the bug is a lost key and not a crash.
void Store::bury(Item* item) {
  pthread_mutex_lock(&graveyard_lock_);
  item->next_buried = graveyard_;
  graveyard_ = item;
  pthread_mutex_unlock(&graveyard_lock_);
}

bool Store::get(std::string_view key, Value& out) {
  Bucket& bucket = bucket_of(key);
  if (bug_ == Bug::kTornValue) {
    Item* item = acquire(bucket, key);
    if (item == nullptr) return false;
    out.flags = item->flags;                           // race: torn-value
    out.data.assign(item->value.data(), item->bytes);  // race: torn-value: a writer may be half-way
    release(item);
    return true;
  }
  const ChainLock lock(*this, bucket);
  const Item* item = find(bucket, key);
  if (item == nullptr) return false;
  out.flags = item->flags;
  out.data.assign(item->value.data(), item->bytes);
  return true;
}

// The torn-value bug: a value of the same size is overwritten in place, without a lock.
bool Store::overwrite(Bucket& bucket, std::string_view key, uint32_t flags,
                      std::string_view value) {
  Item* item = acquire(bucket, key);
  if (item == nullptr) return false;
  const bool fits = item->bytes == value.size();
  if (fits) {
    const size_t half = value.size() / 2;
    const size_t rest = value.size() - half;
    std::memcpy(item->value.data(), value.data(), half);  // race: torn-value
    compute();
    std::memcpy(item->value.data() + half, value.data() + half, rest);  // race: torn-value
    item->flags = flags;                                                // race: torn-value
  }
  release(item);
  return fits;
}

void Store::set(std::string_view key, uint32_t flags, std::string_view value) {
  Bucket& bucket = bucket_of(key);
  if (bug_ == Bug::kTornValue && overwrite(bucket, key, flags, value)) return;
  Item* fresh = make_item(key, flags, value);
  const ChainLock lock(*this, bucket);
  Item* old = find(bucket, key);
  if (old != nullptr) unlink(bucket, old);
  link(bucket, fresh);
}

bool Store::remove(std::string_view key) {
  Bucket& bucket = bucket_of(key);
  const ChainLock lock(*this, bucket);
  Item* item = find(bucket, key);
  if (item == nullptr) return false;
  unlink(bucket, item);
  return true;
}

IncrementStatus Store::increment(std::string_view key, uint64_t delta, uint64_t& result) {
  Bucket& bucket = bucket_of(key);
  if (bug_ == Bug::kLostUpdate || bug_ == Bug::kSplitLock) {
    Item* item = acquire(bucket, key);
    if (item == nullptr) return IncrementStatus::kNotFound;
    const IncrementStatus status = bug_ == Bug::kLostUpdate
                                       ? increment_unlocked(bucket, *item, delta, result)
                                       : increment_split(bucket, *item, delta, result);
    release(item);
    return status;
  }
  const ChainLock lock(*this, bucket);
  Item* item = find(bucket, key);
  if (item == nullptr) return IncrementStatus::kNotFound;
  return increment_unlocked(bucket, *item, delta, result);
}

// Right if the caller holds the bucket's lock; the lost-update bug is that it does not.
IncrementStatus Store::increment_unlocked(Bucket&, Item& item, uint64_t delta, uint64_t& result) {
  uint64_t number = 0;
  if (!read_number(item, number)) return IncrementStatus::kNotNumber;
  compute();
  result = number + delta;
  write_number(item, result);
  return IncrementStatus::kDone;
}

// The split-lock bug: no access is unlocked, and still updates are lost.
IncrementStatus Store::increment_split(Bucket& bucket, Item& item, uint64_t delta,
                                       uint64_t& result) {
  uint64_t number = 0;
  pthread_mutex_lock(&bucket.lock);
  const bool numeric = read_number(item, number);
  pthread_mutex_unlock(&bucket.lock);
  if (!numeric) return IncrementStatus::kNotNumber;
  compute();
  result = number + delta;
  pthread_mutex_lock(&bucket.lock);
  write_number(item, result);
  pthread_mutex_unlock(&bucket.lock);
  return IncrementStatus::kDone;
}

size_t Store::count_items() {
  size_t items = 0;
  for (Bucket& bucket : buckets_) {
    const ChainLock lock(*this, bucket);
    for (const Item* item = bucket.head; item != nullptr; item = item->next) ++items;
  }
  return items;
}

}  // namespace kvstore
