#include "runtime/core/text.h"

#include "runtime/core/sys.h"

namespace evenkeel {

void write_all(int fd, const char* data, size_t bytes) {
  while (bytes != 0) {
    const auto result = sys::write(fd, data, bytes);
    if (!result.ok()) {
      if (result.err() == EINTR) continue;
      return;  // nobody is left to tell
    }
    data += result.value();
    bytes -= static_cast<size_t>(result.value());
  }
}

}  // namespace evenkeel
