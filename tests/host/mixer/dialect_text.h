#pragma once
// What a dialect finds, as text, however the bytes are cut.
#include <gtest/gtest.h>

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

// "set W:item/a"; "?" behind it: unknown, "!": conflicts with everything.
inline std::string text_of(const host::Requests& requests, size_t i) {
  std::string text(requests.at(i).kind);
  size_t key = requests.at(i).first_key;
  for (const mixer::Key& k : requests.keys_of(i)) {
    text += std::string(" ") + access_letter(k.access) + ":" + requests.text_of(key++);
  }
  if (requests.at(i).reach == host::Reach::kUnknown) text += " ?";
  if (requests.at(i).reach == host::Reach::kEverything) text += " !";
  return text;
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
      if (!requests_.at(i).continued) {
        lines_.push_back(text_of(requests_, i));
        ids_.emplace_back();
      } else {
        add_more(i);
      }
      const auto keys = requests_.keys_of(i);
      ids_.back().assign(keys.begin(), keys.end());
    }
  }
  [[nodiscard]] const Lines& lines() const { return lines_; }
  // Footprints of the requests, in order.
  [[nodiscard]] const std::vector<std::vector<mixer::Key>>& ids() const { return ids_; }
  [[nodiscard]] const host::Stream& stream() const { return stream_; }

 private:
  // Keys that a later piece names come behind those that are known.
  void add_more(size_t i) {
    const size_t known = ids_.back().size();
    const size_t count = requests_.keys_of(i).size();
    for (size_t k = known; k < count; ++k) {
      const mixer::Key& key = requests_.keys_of(i)[k];
      lines_.back() += std::string(" ") + access_letter(key.access) + ":" +
                       requests_.text_of(requests_.at(i).first_key + k);
    }
    const bool had = lines_.back().ends_with(" ?") || lines_.back().ends_with(" !");
    if (!had && requests_.at(i).reach == host::Reach::kUnknown) lines_.back() += " ?";
    if (!had && requests_.at(i).reach == host::Reach::kEverything) lines_.back() += " !";
  }

  const host::Dialect& dialect_;
  host::Stream stream_;
  host::Requests requests_;
  Lines lines_;
  std::vector<std::vector<mixer::Key>> ids_;
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
