#pragma once
// The built-in dialects, one file each. None has state: the stream's is all.
#include <memory>

#include "runtime/host/mixer/dialect.h"

namespace evenkeel::host {

// Keys are items. Text, meta and binary protocol, told apart by each request's first byte.
std::unique_ptr<Dialect> memcached_dialect();

}  // namespace evenkeel::host
