#pragma once
// What a dialect finds, as text, however the bytes are cut.
#include <gtest/gtest.h>

#include <algorithm>
#include <memory>
#include <random>
#include <string>
#include <vector>

#include "runtime/host/mixer/dialect.h"

namespace evenkeel::test {

inline const char* access_letter(mixer::Access access) {
  constexpr const char* kLetters[] = {"R", "W", "A", "P"};
  return kLetters[static_cast<uint32_t>(access)];
}

using Lines = std::vector<std::string>;

// A stream and what was found in it so far.
class Reading {
 public:
  explicit Reading(const host::Dialect& dialect) : dialect_(dialect) { requests_.keep_texts(); }

  void feed(std::string_view bytes) {
    requests_.clear();
    dialect_.read(stream_, bytes, requests_);
    for (size_t i = 0; i < requests_.count(); ++i) {
      if (!requests_.at(i).continued) found_.emplace_back();
      take(i, found_.back());
    }
  }
  // "set W:item/a"; "?" behind it: unknown, "!": conflicts with everything.
  [[nodiscard]] Lines lines() const {
    Lines all;
    for (const Found& found : found_) {
      std::string text = found.kind;
      for (size_t k = 0; k < found.keys.size(); ++k) {
        text += std::string(" ") + access_letter(found.keys[k].access) + ":" + found.texts[k];
      }
      if (found.reach == host::Reach::kUnknown) text += " ?";
      if (found.reach == host::Reach::kEverything) text += " !";
      all.push_back(text);
    }
    return all;
  }
  // Footprints of the requests, in order.
  [[nodiscard]] std::vector<std::vector<mixer::Key>> ids() const {
    std::vector<std::vector<mixer::Key>> all;
    for (const Found& found : found_) all.push_back(found.keys);
    return all;
  }
  [[nodiscard]] const host::Stream& stream() const { return stream_; }

 private:
  struct Found {
    std::string kind;
    host::Reach reach = host::Reach::kKeys;
    std::vector<mixer::Key> keys;
    std::vector<std::string> texts;
  };

  // A later piece of a request brings all keys known before, and may bring more.
  void take(size_t i, Found& found) {
    found.kind = requests_.at(i).kind;
    found.reach = requests_.at(i).reach;
    const auto keys = requests_.keys_of(i);
    ASSERT_GE(keys.size(), found.keys.size());
    ASSERT_TRUE(std::equal(found.keys.begin(), found.keys.end(), keys.begin()));
    for (size_t k = found.keys.size(); k < keys.size(); ++k) {
      found.keys.push_back(keys[k]);
      found.texts.push_back(requests_.text_of(requests_.at(i).first_key + k));
    }
  }

  const host::Dialect& dialect_;
  host::Stream stream_;
  host::Requests requests_;
  std::vector<Found> found_;
};

inline Lines lines_of(const host::Dialect& dialect, std::string_view bytes) {
  Reading reading(dialect);
  reading.feed(bytes);
  return reading.lines();
}

// Cut in two at every place, into single bytes, and at random: always the same requests, and the
// stream ends alike.
inline void expect_same_however_cut(const host::Dialect& dialect, std::string_view bytes) {
  Reading whole(dialect);
  whole.feed(bytes);
  const auto compare = [&](const Reading& cut, const std::string& how) {
    ASSERT_EQ(cut.lines(), whole.lines()) << how;
    ASSERT_EQ(cut.ids(), whole.ids()) << how;
    ASSERT_EQ(cut.stream().inside(), whole.stream().inside()) << how;
    ASSERT_EQ(cut.stream().lost, whole.stream().lost) << how;
  };
  for (size_t at = 1; at < bytes.size(); ++at) {
    Reading cut(dialect);
    cut.feed(bytes.substr(0, at));
    cut.feed(bytes.substr(at));
    compare(cut, "cut at " + std::to_string(at));
  }
  Reading single(dialect);
  for (size_t i = 0; i < bytes.size(); ++i) single.feed(bytes.substr(i, 1));
  compare(single, "single bytes");
  std::minstd_rand random(1);
  for (int round = 0; round < 200; ++round) {
    Reading cut(dialect);
    for (size_t at = 0; at < bytes.size();) {
      const size_t piece = 1 + random() % 40;
      cut.feed(bytes.substr(at, piece));
      at += piece;
    }
    compare(cut, "round " + std::to_string(round));
  }
}

// Any bytes: no crash, bounded memory; the verdict does not matter.
inline void survive_garbage(const host::Dialect& dialect, const Lines& seeds) {
  std::minstd_rand random(7);
  for (int round = 0; round < 2000; ++round) {
    Reading reading(dialect);
    for (int piece = 0; piece < 8; ++piece) {
      std::string bytes = seeds[random() % seeds.size()];
      for (auto n = random() % 4; n > 0 && !bytes.empty(); --n) {
        bytes[random() % bytes.size()] = static_cast<char>(random());
      }
      bytes.resize(random() % (bytes.size() + 1));
      if (bytes.empty()) bytes = "\n";
      reading.feed(bytes);
      ASSERT_LE(reading.stream().head.size(), host::kMaxHeadBytes);
    }
  }
}

}  // namespace evenkeel::test
