#include "runtime/host/signature.h"

#include <gtest/gtest.h>

#include <filesystem>

#include "runtime/host/report_file.h"
#include "runtime/host/report_list.h"
#include "tests/host/harness.h"
#include "tests/host/sample_report.h"

namespace evenkeel::host {
namespace {

using test::sample_report;

TEST(Signature, AddressesBatchesAndNamesOfObjectsDoNotCount) {
  record::Report other = sample_report();
  other.set_batch(9);
  record::Difference& difference = *other.mutable_differences(0);
  difference.mutable_object()->set_sequence(1);
  difference.mutable_object()->set_lane(7);
  difference.mutable_object()->set_address(0x777000);
  difference.set_page(0x777000);
  difference.mutable_object()->set_bytes(90);  // of the same size class
  EXPECT_EQ(signature_of(sample_report()), signature_of(other));
}

TEST(Signature, KindObjectTypeAndFieldDo) {
  record::Report kind = sample_report();
  kind.set_kind(record::LEAK);
  record::Report field = sample_report();
  field.mutable_differences(0)->set_begin(32);
  record::Report size = sample_report();
  size.mutable_differences(0)->mutable_object()->set_bytes(500);
  record::Report global = sample_report();
  global.mutable_differences(0)->mutable_object()->set_kind(record::Object::GLOBAL);
  const uint64_t plain = signature_of(sample_report());
  for (const auto& report : {kind, field, size, global}) EXPECT_NE(signature_of(report), plain);
}

TEST(Signature, WhichOfTheRacingObjectsDifferIsChance) {
  record::Report both = sample_report();
  record::Difference& other = *both.add_differences();
  other.mutable_object()->set_kind(record::Object::DATA);
  record::Report second;
  second.set_kind(record::DIVERGENCE);
  *second.add_differences() = other;
  EXPECT_EQ(signature_of(both), signature_of(second));
}

TEST(Signature, OfACrashIsItsPlace) {
  record::Report crash;
  crash.set_kind(record::FAULT);
  record::Fault& fault = *crash.add_replicas()->mutable_fault();
  fault.set_signal(11);
  fault.mutable_code()->set_module("/usr/bin/store");
  fault.mutable_code()->set_module_offset(0x1234);
  const uint64_t here = signature_of(crash);
  fault.set_address(0xdead);
  fault.set_thread(3);
  fault.mutable_code()->set_symbol("f");
  EXPECT_EQ(signature_of(crash), here);
  fault.mutable_code()->set_module_offset(0x1238);
  EXPECT_NE(signature_of(crash), here);
}

record::Report diagnosed(uint64_t begin, uint64_t one, uint64_t other) {
  record::Report report = sample_report();
  report.mutable_differences(0)->set_begin(begin);
  record::Diagnosis& diagnosis = *report.mutable_diagnosis();
  diagnosis.mutable_first_site()->set_module("/usr/bin/store");
  diagnosis.mutable_first_site()->set_module_offset(one);
  diagnosis.mutable_second_site()->set_module("/usr/bin/store");
  diagnosis.mutable_second_site()->set_module_offset(other);
  return report;
}

TEST(Signature, OfARaceDoesNotDependOnWhoWasFirst) {
  EXPECT_EQ(race_of(sample_report()), 0U);
  EXPECT_EQ(race_of(diagnosed(0, 1, 2)), race_of(diagnosed(8, 2, 1)));
  EXPECT_NE(race_of(diagnosed(0, 1, 2)), race_of(diagnosed(0, 1, 3)));
}

TEST(Signature, GroupsOfOneRaceAreOneLine) {
  const test::TemporaryDirectory directory;
  for (const uint64_t field : {0, 16}) {
    record::Report report = diagnosed(field, 1 + field / 16, 2 - field / 16);
    report.set_signature(signature_text(signature_of(report)));
    report.set_race(signature_text(race_of(report)));
    write_whole(directory.path() / (std::to_string(field) + ".report"), encode_report(report),
                Durability::kProcess);
  }
  const auto rows = list_reports(directory.path()).rows;
  ASSERT_EQ(rows.size(), 1U);
  EXPECT_EQ(rows[0].count, 2U);
}

}  // namespace
}  // namespace evenkeel::host
