#pragma once
// Where requests of HTTP/1.1 begin and end (RFC 9112): head, body by Content-Length or in chunks.
// A connection that is upgraded, or a head that contradicts itself, is lost.
#include <string_view>

#include "runtime/host/mixer/dialect.h"

namespace evenkeel::host {

class HttpFraming : public Dialect {
 protected:
  // `target` as it stands in the request line.
  virtual void request(std::string_view method, std::string_view target, Requests& out) const = 0;

 private:
  size_t head(Stream& stream, std::string_view bytes, Requests& out) const override;
  static size_t chunk(Stream& stream, std::string_view bytes);
};

}  // namespace evenkeel::host
