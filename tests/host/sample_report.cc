#include "tests/host/sample_report.h"

#include <string>

namespace evenkeel::test {

record::Report sample_report() {
  record::Report report;
  report.set_kind(record::DIVERGENCE);
  report.mutable_run()->set_pid(41207);
  report.mutable_run()->set_name("store");
  report.set_batch(118);
  report.set_realtime_ns(1'766'000'000'000'000'000);
  for (const uint32_t index : {0U, 2U}) {
    record::Replica& replica = *report.add_replicas();
    replica.set_index(index);
    replica.set_status("quiescent");
    replica.set_token(index == 0 ? "aa" : "bb");
    replica.set_dirty_pages(3);
  }
  record::Difference& difference = *report.add_differences();
  record::Object& object = *difference.mutable_object();
  object.set_kind(record::Object::HEAP);
  object.set_address(0x1000);
  object.set_bytes(96);
  object.set_lane(3);
  object.set_sequence(5521);
  difference.set_page(0x1000);
  difference.set_begin(16);
  difference.set_end(24);
  difference.set_shown_begin(10);
  difference.set_shown_end(30);
  for (const char last : {'\x2a', '\x29'}) {
    record::Value& value = *difference.add_values();
    value.set_data(std::string("secret") + std::string(7, '\0') + last + "secret");
    value.add_replicas(last == '\x2a' ? 0 : 2);
    if (last == '\x2a') value.add_replicas(1);
  }
  report.set_differing_pages(4);
  report.set_differences_left_out(2);
  record::Input& input = *report.add_inputs();
  input.set_kind("data");
  input.set_channel(1048576);
  input.set_bytes(9);
  input.set_payload("incr k 1\n");
  report.set_inputs_total(3);
  report.add_actions("rolled back");
  report.add_actions("executed again");
  report.set_outcome("all agree");
  return report;
}

}  // namespace evenkeel::test
