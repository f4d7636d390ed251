#include <cerrno>
#include <cstring>

#include "runtime/sync/sync.h"

namespace evenkeel::sync {

// glibc names other threads through /proc, where virtual threads do not stand. Names serve people
// who look at /proc, so a name is checked and then forgotten.
int set_name(pthread_t, const char* name) {
  constexpr size_t kMaxName = 15;  // TASK_COMM_LEN - 1
  return strnlen(name, kMaxName + 1) > kMaxName ? ERANGE : 0;
}

}  // namespace evenkeel::sync
