// Kind: atomicity violation; double free.
// Modelled on: Apache #21287 (mod_mem_cache decrements the reference count in one step, and looks
// whether it is zero in another).
// Manifests: two threads see zero and both free the object: the allocator aborts, or two objects
// share memory and an answer is made of both.
#include <cstdlib>
#include <cstring>

#include "examples/zoo/support/server.h"

namespace {

constexpr size_t kBodyBytes = 2000;

struct Object {
  volatile int references;
  unsigned long version;
  char body[kBodyBytes];
};

Object* cached;
pthread_mutex_t cache_lock = PTHREAD_MUTEX_INITIALIZER;
volatile uint32_t last_served;  // for the access log

Object* make_object(unsigned long version) {
  auto* object = static_cast<Object*>(std::malloc(sizeof(Object)));
  object->references = 1;  // the cache's
  object->version = version;
  std::memset(object->body, static_cast<int>('a' + version % 26), kBodyBytes);
  return object;
}

Object* take() {
  const zoo::Locked locked(cache_lock);
  __sync_add_and_fetch(&cached->references, 1);
  return cached;
}

void drop(Object* object, const std::string& served) {
  __sync_sub_and_fetch(&object->references, 1);               // RACE 1
  last_served = zoo::checksum(served.data(), served.size());  // RACE 1
  if (object->references == 0) std::free(object);             // RACE 2
}

void get(std::string& reply) {
  Object* object = take();
  std::string served = std::to_string(object->version);
  served += ' ';
  served.append(object->body, 16);
  served.append(object->body + kBodyBytes - 16, 16);
  drop(object, served);
  reply += served;
}

void put(unsigned long version) {
  Object* fresh = make_object(version);
  Object* old = nullptr;
  {
    const zoo::Locked locked(cache_lock);
    old = cached;
    cached = fresh;
  }
  drop(old, "replaced by a newer version");
}

// get -> VERSION, and 32 times its letter; put VERSION -> OK
void answer(zoo::Connection&, const zoo::Request& request, std::string& reply) {
  if (request.is("get")) {
    get(reply);
  } else if (request.is("put")) {
    put(request.number(1));
    reply += "OK";
  } else {
    reply += "ERROR";
  }
}

}  // namespace

int main(int argc, char** argv) {
  cached = make_object(0);
  return zoo::serve_with_worker_pool(argc, argv, answer);
}
