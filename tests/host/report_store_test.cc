#include "runtime/host/report_store.h"

#include <gtest/gtest.h>
#include <sys/stat.h>

#include <fstream>
#include <nlohmann/json.hpp>

#include "runtime/host/refusal.h"
#include "runtime/host/report_list.h"
#include "runtime/host/signature.h"
#include "tests/host/harness.h"
#include "tests/host/sample_report.h"

namespace evenkeel::host {
namespace {

namespace fs = std::filesystem;
using test::sample_report;
using test::TemporaryDirectory;

// One that no other resembles.
Report distinct(uint64_t number) {
  Report report = sample_report();
  report.set_batch(number);
  report.mutable_differences(0)->mutable_object()->set_kind(record::Object::GLOBAL);
  report.mutable_differences(0)->mutable_object()->set_symbol(fmt::format("g{}", number));
  return report;
}

// As the store leaves it, whatever the rate at which tests report.
void put(const fs::path& directory, Report report, const std::string& id) {
  report.set_id(id);
  report.set_signature(signature_text(signature_of(report)));
  if (const uint64_t race = race_of(report); race != 0) report.set_race(signature_text(race));
  write_whole(directory / (id + ".report"), encode_report(report), Durability::kProcess);
}

std::string refusal_of(const fs::path& directory, const std::string& id) {
  try {
    static_cast<void>(load_report(directory, id));
  } catch (const Refusal& refusal) {
    return refusal.what();
  }
  return "";
}

TEST(ReportStore, ReportsOutliveTheRun) {
  const TemporaryDirectory directory;
  Report first = sample_report();
  Report second = sample_report();
  {
    ReportStore store(directory.path(), record::FULL);
    store.admit(first);
    store.admit(second);
    store.save(second, Durability::kMachine);
    store.save(first, Durability::kMachine);
  }
  EXPECT_EQ(first.id(), "41207-118");
  EXPECT_EQ(second.id(), "41207-118-2");
  const auto rows = list_reports(directory.path()).rows;
  ASSERT_EQ(rows.size(), 1U);
  EXPECT_EQ(rows[0].count, 2U);
  EXPECT_EQ(rows[0].ids.size(), 2U);
  EXPECT_EQ(load_report(directory.path(), "41207-118").SerializeAsString(),
            first.SerializeAsString());
  EXPECT_EQ(load_report(directory.path(), rows[0].signature).id(), rows[0].id);
  EXPECT_EQ(refusal_of(directory.path(), "../../etc/passwd"), "no report ../../etc/passwd");
}

TEST(ReportStore, ManyOfOneBugAreOneLineWithTheExactCount) {
  constexpr uint64_t kMany = 10'000;
  const TemporaryDirectory directory;
  {
    ReportStore store(directory.path(), record::FULL);
    for (uint64_t i = 1; i <= kMany; ++i) {
      Report report = sample_report();
      report.set_batch(i);
      report.set_realtime_ns(i * 1'000'000'000);
      store.admit(report);
      store.save(report, Durability::kProcess);
      EXPECT_EQ(report.occurrence(), i);
    }
  }
  const auto rows = rows_json(list_reports(directory.path()).rows)["reports"];
  ASSERT_EQ(rows.size(), 1U);
  EXPECT_EQ(rows[0]["count"], kMany);
  EXPECT_EQ(rows[0]["kind"], "DIVERGENCE");
  EXPECT_EQ(rows[0]["first_seen"], "1970-01-01T00:00:01Z");
  EXPECT_EQ(rows[0]["last_seen"], "1970-01-01T02:46:40Z");
  EXPECT_EQ(rows[0]["summary"], "divergence in heap block B3.5521, 96 bytes");
  // A slow machine may take more than a minute for it.
  EXPECT_GE(rows[0]["ids"].size(), ReportStore::kPerSignaturePerMinute);
  EXPECT_LT(rows[0]["ids"].size(), 10 * ReportStore::kPerSignaturePerMinute);
}

TEST(ReportStore, CountsGoOnInTheNextRun) {
  const TemporaryDirectory directory;
  for (uint64_t run = 1; run <= 3; ++run) {
    ReportStore store(directory.path(), record::FULL);
    Report report = sample_report();
    store.admit(report);
    EXPECT_EQ(report.occurrence(), run);
  }
}

TEST(ReportStore, KeepsTheYoungestAndOneOfEachBug) {
  const TemporaryDirectory directory;
  put(directory.path(), distinct(1), "1-1");
  for (uint64_t i = 0; i < ReportStore::kMaxReports + 9; ++i) {
    put(directory.path(), sample_report(), fmt::format("2-{}", i));
  }
  const ReportStore store(directory.path(), record::FULL);
  const auto rows = list_reports(directory.path()).rows;
  ASSERT_EQ(rows.size(), 2U);
  EXPECT_EQ(rows[0].ids.size() + rows[1].ids.size(), ReportStore::kMaxReports);
  EXPECT_EQ(load_report(directory.path(), "1-1").batch(), 1U);
  EXPECT_EQ(refusal_of(directory.path(), "2-0"), "no report 2-0");
}

TEST(ReportStore, IsBoundedBySizeBundlesIncluded) {
  const TemporaryDirectory directory;
  const auto bundle = [&](int i) { return directory.path() / fmt::format("1-{}.bundle", i); };
  // Of files of one age the one with the lower name is the older.
  for (int i = 10; i < 22; ++i) {
    put(directory.path(), sample_report(), fmt::format("1-{}", i));
    std::ofstream(bundle(i)).close();
    fs::resize_file(bundle(i), ReportStore::kMaxBytes / 8);  // sparse
  }
  const ReportStore store(directory.path(), record::FULL);
  EXPECT_EQ(list_reports(directory.path()).rows[0].ids.size(), 7U);
  EXPECT_FALSE(fs::exists(bundle(10)));
  EXPECT_TRUE(fs::exists(bundle(21)));
}

TEST(ReportStore, FilesAreTheOwnersOnly) {
  const TemporaryDirectory directory;
  ReportStore store(directory.path(), record::NONE);
  Report report = sample_report();
  store.admit(report);
  store.save(report, Durability::kMachine);
  for (const auto& entry : fs::directory_iterator(directory.path())) {
    struct stat status {};
    ASSERT_EQ(::stat(entry.path().c_str(), &status), 0);
    EXPECT_EQ(status.st_mode & 0777U, 0600U) << entry.path();
    EXPECT_EQ(test::read_file(entry.path()).find("secret"), std::string::npos);
  }
}

TEST(ReportStore, WhatWasCutOffIsNotInTheWay) {
  const TemporaryDirectory directory;
  put(directory.path(), sample_report(), "1-1");
  fs::copy_file(directory.path() / "1-1.report", directory.path() / "1-2.report.new");
  fs::copy_file(directory.path() / "1-1.report", directory.path() / "1-3.report");
  fs::resize_file(directory.path() / "1-3.report", 100);
  std::ofstream(directory.path() / "1-4.report") << "something else, and long enough for a header";
  std::ofstream(directory.path() / "1-5.report") << "Evk";
  const ReportStore store(directory.path(), record::FULL);
  EXPECT_FALSE(fs::exists(directory.path() / "1-2.report.new"));
  const auto rows = list_reports(directory.path()).rows;
  ASSERT_EQ(rows.size(), 1U);
  EXPECT_EQ(rows[0].ids.front(), "1-1");
  EXPECT_EQ(refusal_of(directory.path(), "1-3"), "report 1-3 cannot be read: it is truncated");
  EXPECT_EQ(refusal_of(directory.path(), "1-4"), "report 1-4 cannot be read: it is not a report");
  EXPECT_EQ(refusal_of(directory.path(), "1-5"), "report 1-5 cannot be read: it is truncated");
}

TEST(ReportFile, DamageAndAnotherFormatAreNoticed) {
  std::string file = encode_report(sample_report());
  file.back() = static_cast<char>(file.back() ^ 1);
  EXPECT_THROW(static_cast<void>(decode_report(file)), std::runtime_error);
  file = encode_report(sample_report());
  file[8] = 99;
  try {
    static_cast<void>(decode_report(file));
    FAIL();
  } catch (const std::runtime_error& error) {
    EXPECT_STREQ(error.what(), "its format is version 99, not 1");
  }
}

TEST(ReportStore, ADamagedTableOfCountsIsBegunAnew) {
  const TemporaryDirectory directory;
  put(directory.path(), sample_report(), "1-1");
  std::ofstream(directory.path() / "groups") << "nonsense";
  EXPECT_EQ(list_reports(directory.path()).rows[0].count, 1U);  // what is kept
  ReportStore store(directory.path(), record::FULL);
  Report report = sample_report();
  store.admit(report);
  EXPECT_EQ(report.occurrence(), 1U);
}

TEST(ReportStore, ADirectoryThatIsGoneCostsReportsOnly) {
  auto directory = std::make_unique<TemporaryDirectory>();
  ReportStore store(directory->path() / "none", record::FULL);
  Report report = sample_report();
  store.admit(report);
  store.save(report, Durability::kMachine);
  EXPECT_EQ(report.occurrence(), 1U);
  EXPECT_THROW(static_cast<void>(list_reports(directory->path() / "none")), Refusal);
}

// A disk without room: every write fails with ENOSPC.
TEST(ReportStore, AFullDiskCostsReportsOnly) {
  EXPECT_THROW(write_whole("/dev/full/x", "data", Durability::kProcess), std::system_error);
}

TEST(Groups, BeyondTheBoundTheOldestGivesWay) {
  const TemporaryDirectory directory;
  GroupTable table(directory.path() / "groups");
  for (uint64_t i = 1; i <= GroupTable::kMaxGroups + 1; ++i) {
    EXPECT_EQ(table.count(i, record::LEAK, i, "x"), 1U);
  }
  EXPECT_EQ(table.count(2, record::LEAK, 5000, "x"), 2U);
  const auto groups = GroupTable::read(directory.path() / "groups");
  EXPECT_EQ(groups.size(), GroupTable::kMaxGroups);
  for (const Group& group : groups) EXPECT_NE(group.signature, 1U);
}

}  // namespace
}  // namespace evenkeel::host
