#pragma once
// Open file descriptions of the virtual kernel. Each kind (connection, pipe end, eventfd, epoll,
// file...) starts with an Object and brings an operations table. All live in the kernel arena.
//
// Order: every operation on an object is ordered on *object.order, the version word of its ordering
// domain. An object begins as its own domain; joining an epoll set makes it part of the set's
// domain (the set's ready list depends on its readiness); an object in two sets, or polled, puts
// all involved into the kernel's shared domain.
//
// Threads: operations run with the kernel lock held, in their recorded turn.
#include <sys/uio.h>

#include <cstddef>
#include <cstdint>

#include "runtime/sched/thread.h"

namespace evenkeel::kernel {

struct Object;
struct EpollItem;

enum class ObjectType : uint32_t {
  kNone = 0,
  kConnection,  // to a client (or outbound): input from the deck, output to the output area
  kListener,
  kSocket,  // stream socket that neither listens nor is connected yet
  kPipeRead,
  kPipeWrite,
  kPair,  // one end of a socketpair()
  kEventfd,
  kTimerfd,
  kEpoll,
  kFile,    // regular file or directory
  kStdio,   // inherited stdout or stderr: an output channel
  kDevice,  // /dev/null, /dev/zero, /dev/urandom
  kSyslog,  // datagram socket to /dev/log
  kSignalfd,
  kPassed,  // a real fd that the kernel merely forwards to
};

// Lengths of a vector I/O; the buffers belong to the application.
struct Buffers {
  const iovec* vectors;
  uint32_t count;
  [[nodiscard]] size_t total() const {
    size_t bytes = 0;
    for (uint32_t i = 0; i < count; ++i) bytes += vectors[i].iov_len;
    return bytes;
  }
};

// A kind's behaviour. Called with the lock held; results are >= 0 or -errno, -EAGAIN meaning "would
// block". Null: the generic answer (EINVAL; never ready; nothing to close).
struct ObjectOps {
  uint32_t (*readiness)(const Object&);  // EPOLLIN | EPOLLOUT | EPOLLRDHUP | EPOLLHUP | EPOLLERR
  long (*read)(Object&, const Buffers&, uint32_t message_flags);  // MSG_PEEK, MSG_TRUNC
  long (*write)(Object&, const Buffers&);
  void (*close)(Object&);  // the last reference is gone; releases its memory
};

struct Object {
  ObjectType type;
  uint32_t references;  // fds, plus threads blocked in it
  const ObjectOps* ops;
  uint32_t version;     // of its own domain
  uint32_t flags;       // O_NONBLOCK, O_APPEND, O_ACCMODE: the file status flags
  uint32_t* order;      // see above
  EpollItem* watchers;  // epoll items that watch it
  uint32_t epoll_sets;  // how many sets it is in
  uint32_t reserved;
};

// Zeroed memory of type T (whose first member is `Object object`), with one reference, own domain.
template <typename T>
[[nodiscard]] T* create_object(ObjectType type, const ObjectOps& ops, uint32_t flags);

void init_object(Object& object, ObjectType type, const ObjectOps& ops, uint32_t flags);
void retain(Object& object);
void release(Object& object);  // closes it with the last reference

// Tells watchers and blocked threads that `events` have become true. Lock held.
void notify(Object& object, uint32_t events);

// Domains. Lock held. join() puts the object into the domain of `set`; share() into the kernel's
// common one, together with every set that watches it.
void join_order(Object& object, Object& set);
void share_order(Object& object);

[[nodiscard]] inline bool nonblocking(const Object& object) {
  constexpr uint32_t kNonblock = 04000;  // O_NONBLOCK
  return (object.flags & kNonblock) != 0;
}
// Wait key of threads blocked in the object.
[[nodiscard]] inline uint64_t key_of(const Object& object) {
  return reinterpret_cast<uint64_t>(&object);
}

}  // namespace evenkeel::kernel
