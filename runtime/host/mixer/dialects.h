#pragma once
// The built-in dialects, one file each. None has state: the stream's is all.
#include <memory>

#include "runtime/host/mixer/dialect.h"

namespace evenkeel::host {

// Keys are items. Text, meta and binary protocol, told apart by each request's first byte.
std::unique_ptr<Dialect> memcached_dialect();
// Keys are paths, without the query: methods that RFC 9110 calls safe read, others write.
std::unique_ptr<Dialect> http_dialect();
// Keys are keys.
std::unique_ptr<Dialect> redis_dialect();
// Keys are tables, of statements in COM_QUERY and 'Q' (simple query). Prepared statements are
// unknown.
std::unique_ptr<Dialect> mysql_dialect();
std::unique_ptr<Dialect> postgres_dialect();

}  // namespace evenkeel::host
