#pragma once
// What makes two records reports of one bug. Without a diagnosis that is the kind of the record and
// of the object: a global by its name, a heap object by its size class and the field that differs;
// a crash by its place in the code; a deadlock by its objects. Addresses do not count, nor do names
// that depend on symbols being there.
#include <cstdint>
#include <string>

#include "runtime/host/report.pb.h"

namespace evenkeel::host {

// Never 0.
[[nodiscard]] uint64_t signature_of(const record::Report& report);
// Of the two pieces of code that raced, whichever is first; 0: not diagnosed.
[[nodiscard]] uint64_t race_of(const record::Report& report);

// 16 hexadecimal digits.
[[nodiscard]] std::string signature_text(uint64_t signature);

}  // namespace evenkeel::host
