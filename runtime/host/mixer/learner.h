#pragma once
// From a batch that diverged to what should be kept apart.
//
// Replicas differed in some pages and answers. Executed one at a time, each input has written some
// pages: whoever wrote one that differed, or got one of those answers, was *struck*. Those that
// were struck and ran together are the conflict. If two of them share a word that is seldom shared
// in this batch, that explains it: of such words the one that is most seldom shared. So does a word
// shared with a request of another kind that was not struck: one who only read what that wrote is
// struck alone. If no word explains anything, the kinds conflict, with those of the struck that
// wrote a page of the input's.
//
// A conflict that is kept already cannot come up: its inputs did not run together. So each
// divergence teaches something new, down to every input in a group of its own.
// Threads: any. Memory: the call's. Errors: none; what nothing explains teaches nothing.
#include <cstdint>
#include <span>
#include <vector>

#include "runtime/host/mixer/conflicts.h"

namespace evenkeel::host {

// An input of the batch.
struct Deed {
  wire::Channel channel = 0;
  uint32_t group = 0;
  std::vector<Phrase> phrases;  // its requests
  std::vector<uint64_t> pages;  // that it wrote, ascending
  bool struck = false;
};

constexpr size_t kMaxStruck = 64;       // more: the rest is not looked at
constexpr size_t kMaxDeedPhrases = 16;  // of an input

[[nodiscard]] std::vector<Conflicts::Pair> conflicts_of(std::span<const Deed> deeds);

}  // namespace evenkeel::host
