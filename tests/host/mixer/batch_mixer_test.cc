// Groups of whole batches: footprints of inputs, order of connections, signals.
#include "runtime/host/mixer/batch_mixer.h"

#include <gtest/gtest.h>

#include <csignal>
#include <cstring>
#include <string>

#include "runtime/host/deck.h"
#include "runtime/host/mixer/dialects.h"

namespace evenkeel::host {
namespace {

class BatchMixerTest : public ::testing::Test {
 protected:
  static wire::Channel channel(uint32_t slot, uint64_t serial = 1) {
    return serial << wire::kChannelSlotBits | slot;
  }
  void data(wire::Channel channel, const std::string& text) {
    std::memcpy(batch_.cursor(), text.data(), text.size());
    batch_.add_data(channel, static_cast<uint32_t>(text.size()));
  }
  // As "group:text" of the inputs in their new order.
  std::vector<std::string> grouped(BatchMixer& mixer) {
    mixer.group(batch_);
    std::vector<std::string> all;
    for (uint32_t i = 0; i < batch_.count(); ++i) {
      const wire::Input& input = batch_.input(i);
      std::string text(reinterpret_cast<const char*>(batch_.payload(input)), input.bytes);
      while (!text.empty() && text.back() < ' ') text.pop_back();
      if (input.kind == wire::InputKind::kSignal) text = "signal";
      if (input.kind == wire::InputKind::kEof) text = "eof";
      all.push_back(std::to_string(input.group) + ":" + text);
    }
    batch_.clear();
    return all;
  }

  using Texts = std::vector<std::string>;
  Deck deck_;
  Batch batch_{*deck_};
  Stats stats_;
  BatchMixer recorded_{memcached_dialect(), wire::Order::kRecorded, 0, stats_};
  BatchMixer independent_{memcached_dialect(), wire::Order::kIndependent, 0, stats_};
};

TEST_F(BatchMixerTest, ConflictsArePartedOthersStayTogether) {
  data(channel(1), "incr a 1\r\n");
  data(channel(2), "incr b 1\r\n");
  data(channel(3), "incr a 1\r\n");
  data(channel(4), "get b\r\n");
  data(channel(5), "get c\r\n");
  EXPECT_EQ(grouped(recorded_),
            (Texts{"0:incr a 1", "0:incr b 1", "0:get c", "1:incr a 1", "1:get b"}));
  EXPECT_EQ(stats_.groups, 2U);
  EXPECT_EQ(stats_.mixed_requests, 5U);
}

TEST_F(BatchMixerTest, AConnectionKeepsItsOrder) {
  data(channel(1), "incr a 1\r\n");
  data(channel(2), "incr a 1\r\n");
  data(channel(2), "incr b 1\r\n");
  batch_.add(wire::InputKind::kEof, channel(2), 0);
  data(channel(3), "incr b 1\r\n");
  EXPECT_EQ(grouped(recorded_),
            (Texts{"0:incr a 1", "0:incr b 1", "1:incr a 1", "1:incr b 1", "1:eof"}));
}

TEST_F(BatchMixerTest, ASignalPartsTheBatch) {
  data(channel(1), "incr a 1\r\n");
  data(channel(2), "incr a 1\r\n");
  batch_.add_signal(SIGHUP);
  data(channel(3), "get c\r\n");
  EXPECT_EQ(grouped(recorded_), (Texts{"0:incr a 1", "1:incr a 1", "2:signal", "3:get c"}));
}

TEST_F(BatchMixerTest, UnknownConflictsOnlyIfReplicasOrderThemselves) {
  for (BatchMixer* mixer : {&recorded_, &independent_}) {
    data(channel(1), "frob\r\n");
    data(channel(2), "get a\r\n");
    data(channel(3), "frob\r\n");
    const Texts groups = grouped(*mixer);
    const Texts apart{"0:frob", "1:get a", "2:frob"};
    EXPECT_EQ(groups, mixer == &independent_ ? apart : (Texts{"0:frob", "0:get a", "0:frob"}));
  }
  EXPECT_EQ(stats_.unknown_footprints, 4U);
}

TEST_F(BatchMixerTest, RequestsMaySpanBatches) {
  data(channel(1), "set a 0 0 6\r\nabc");
  data(channel(2), "get a\r\n");
  EXPECT_EQ(grouped(recorded_), (Texts{"0:set a 0 0 6\r\nabc", "1:get a"}));
  data(channel(2), "get a\r\n");
  data(channel(1), "def\r\n");
  EXPECT_EQ(grouped(recorded_), (Texts{"0:get a", "1:def"}));
  data(channel(2), "get a\r\n");
  data(channel(1), "get a\r\n");
  EXPECT_EQ(grouped(recorded_), (Texts{"0:get a", "0:get a"}));
}

TEST_F(BatchMixerTest, ANewConnectionInASlotBeginsAnew) {
  data(channel(1, 1), "set a 0 0 600\r\nabc");
  grouped(recorded_);
  data(channel(1, 2), "get b\r\n");
  data(channel(2), "incr a 1\r\n");
  EXPECT_EQ(grouped(recorded_), (Texts{"0:get b", "0:incr a 1"}));
}

TEST_F(BatchMixerTest, PipelinedRequestsAreOneFootprint) {
  data(channel(1), "get a\r\nincr b 1\r\nget c\r\n");
  data(channel(2), "incr c 1\r\n");
  data(channel(3), "get b\r\n");
  EXPECT_EQ(grouped(recorded_), (Texts{"0:get a\r\nincr b 1\r\nget c", "1:incr c 1", "1:get b"}));
}

TEST_F(BatchMixerTest, TenThousandKeysConflictWithEverything) {
  std::string get = "get";
  for (int i = 0; i < 10000; ++i) get += " k" + std::to_string(i);
  data(channel(1), get + "\r\n");
  data(channel(2), "get other\r\n");
  recorded_.group(batch_);
  EXPECT_EQ(batch_.input(0).group, 0U);
  EXPECT_EQ(batch_.input(1).group, 1U);
}

TEST_F(BatchMixerTest, AFullBatchOfOneKeyIsOneByOne) {
  uint32_t count = 0;
  while (batch_.has_room()) data(channel(count++), "incr a 1\r\n");
  recorded_.group(batch_);
  for (uint32_t i = 0; i < batch_.count(); ++i) ASSERT_EQ(batch_.input(i).group, i);
}

}  // namespace
}  // namespace evenkeel::host
