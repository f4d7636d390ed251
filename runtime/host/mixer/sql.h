#pragma once
// The tables that SQL text reads and writes: by its words, not by its grammar. What is not one of
// the usual statements is unknown.
#include <string_view>

#include "runtime/host/mixer/requests.h"

namespace evenkeel::host {

// Adds to the request that began last. `text` may hold several statements.
void add_tables(std::string_view text, const Space& tables, Requests& out);

}  // namespace evenkeel::host
