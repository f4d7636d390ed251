#pragma once
// The little that pages share: escaping, and one look in light and dark.
#include <string>
#include <string_view>

namespace evenkeel::host {

// For text and for attribute values in quotes. Bytes that are no text become spaces: what is shown
// may come from whoever sends requests to the server.
[[nodiscard]] std::string escaped(std::string_view text);

// A whole page without scripts, which nothing in it can bring back: the content security policy
// allows inline styles only. `head` is markup.
[[nodiscard]] std::string page_of(std::string_view title, std::string_view head,
                                  std::string_view body);

}  // namespace evenkeel::host
