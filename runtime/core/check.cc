#include "runtime/core/check.h"

#include "runtime/core/text.h"

namespace evenkeel {

void die(const char* file, int line, const char* what, const char* key, const char* text,
         int64_t number) {
  Text<512> message;
  message.add("FATAL evenkeel: ").add(what).add(" ").add(key).add("=");
  if (text != nullptr) {
    message.add(text);
  } else {
    message.add(number);
  }
  message.add(" at ").add(file).add(":").add(line).add("\n").write_to(2);
  __builtin_trap();
}

}  // namespace evenkeel
