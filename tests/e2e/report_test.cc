// Reports of a real race: counted, listed, shown, as a page, as a bundle; nobody else may read
// them.
#include <gtest/gtest.h>
#include <sys/stat.h>

#include <chrono>
#include <fstream>
#include <optional>
#include <sstream>

#include "tests/support/server.h"

namespace evenkeel::test {
namespace {

namespace fs = std::filesystem;

constexpr int kMaxRuns = 50;  // until the race has shown

const Words kLoad{"--shared", "--counters",      "1",   "--keys",           "1",  "--requests",
                  "5000",     "--incr-fraction", "0.4", "--write-fraction", "0.3"};

class Reports : public testing::Test {
 protected:
  // Until there are divergences to report.
  void diverge(const Words& options = {}) {
    server_.emplace(
        Server::evenkeel(options, kvstore_command({"--bug", "lost-update", "--buckets", "16"})));
    for (int run = 0; run < kMaxRuns && divergences() == 0; ++run) {
      ASSERT_EQ(run_load(server_->port(), kLoad).status, 0);
    }
    ASSERT_GT(divergences(), 0) << "the race did not show in " << kMaxRuns << " runs";
  }

  [[nodiscard]] int divergences() const { return server_->status().at("divergences"); }

  [[nodiscard]] Finished report(const Words& words) const {
    Words all{evenkeel_path(), "report"};
    all.insert(all.end(), words.begin(), words.end());
    all.insert(all.end(), {"--state-dir", server_->state_dir(), "--name", server_->name()});
    return run_to_end(all);
  }

  [[nodiscard]] std::vector<nlohmann::json> rows(const std::string& kind) const {
    std::vector<nlohmann::json> found;
    const auto list = nlohmann::json::parse(report({"list", "--json"}).out);
    for (const auto& row : list.at("reports")) {
      if (row.at("kind") == kind) found.push_back(row);
    }
    return found;
  }

  // Of a report whose diagnosis has ended, for which this waits.
  [[nodiscard]] std::string id_with_bundle() const {
    const auto end = std::chrono::steady_clock::now() + std::chrono::seconds(60);
    do {
      static_cast<void>(server_->status());  // the coordinator looks after the diagnosis
      for (const auto& row : rows("DIVERGENCE")) {
        for (const auto& id : row.at("ids")) {
          const auto json =
              nlohmann::json::parse(report({"show", id.get<std::string>(), "--json"}).out);
          if (json.at("diagnosis").is_object() && json["diagnosis"]["bundle"] != "") return id;
        }
      }
    } while (std::chrono::steady_clock::now() < end);
    return "no report has a bundle";
  }

  std::optional<Server> server_;
  TemporaryDirectory directory_;
};

std::string contents_of(const fs::path& path) {
  std::ostringstream text;
  text << std::ifstream(path, std::ios::binary).rdbuf();
  return text.str();
}

TEST_F(Reports, OfARaceAreCountedAndShown) {
  diverge();
  int count = 0;
  for (const auto& row : rows("DIVERGENCE")) count += row.at("count").get<int>();
  EXPECT_EQ(count, divergences());
  const std::string id = rows("DIVERGENCE").back().at("id");
  const Finished text = report({"show", id});
  EXPECT_EQ(text.ending.status, 0) << text.err;
  EXPECT_NE(text.out.find("Last ordered operations"), std::string::npos) << text.out;
  EXPECT_NE(text.out.find("\nSUMMARY: evenkeel: divergence"), std::string::npos) << text.out;
  const auto json = nlohmann::json::parse(report({"show", id, "--json"}).out);
  EXPECT_EQ(json.at("outcome"), "all agree; no client saw the difference");
  bool kvstore = false;
  for (const auto& module : json.at("modules")) {
    kvstore = kvstore || (module.at("path") == kvstore_path() && module.at("build_id") != "");
  }
  EXPECT_TRUE(kvstore) << json.at("modules");
}

TEST_F(Reports, BecomeAPageAndABundle) {
  diverge();
  const std::string id = rows("DIVERGENCE").back().at("id");
  const fs::path page = directory_.path() / "page.html";
  EXPECT_EQ(report({"html", id, "-o", page}).ending.status, 0);
  const std::string html = contents_of(page);
  EXPECT_NE(html.find("<mark>"), std::string::npos);
  EXPECT_NE(html.find("<svg"), std::string::npos);
  EXPECT_EQ(html.find("<script"), std::string::npos);
  const fs::path bundle = directory_.path() / "bundle";
  const std::string stored = id_with_bundle();
  const Finished exported = report({"export", stored, "-o", bundle});
  ASSERT_EQ(exported.ending.status, 0) << exported.err;
  const Finished shown = run_to_end({evenkeel_path(), "report", "show", bundle});
  EXPECT_EQ(shown.out, report({"show", stored}).out) << shown.err;
  EXPECT_EQ(report({"export", stored}).ending.status, 2);
  EXPECT_EQ(report({"html", id, "-o", "/dev/full/x"}).ending.status, 1);
  EXPECT_EQ(report({"html", "no-such", "-o", page}).ending.status, 1);
}

TEST_F(Reports, AreTheOwnersOnlyAndKeepWhatTheyMay) {
  diverge({"--report-bytes", "none"});
  const fs::path state = fs::path(server_->state_dir()) / server_->name();
  struct stat status {};
  for (const auto& entry : fs::recursive_directory_iterator(state)) {
    ASSERT_EQ(::stat(entry.path().c_str(), &status), 0);
    if (entry.is_socket()) continue;  // nobody gets to it
    EXPECT_EQ(status.st_mode & 0777U, entry.is_directory() ? 0700U : 0600U) << entry.path();
    if (entry.is_regular_file()) {
      EXPECT_EQ(contents_of(entry.path()).find("incr hot"), std::string::npos) << entry.path();
    }
  }
  ASSERT_EQ(::stat(state.c_str(), &status), 0);
  EXPECT_EQ(status.st_mode & 0777U, 0700U);
  const std::string id = rows("DIVERGENCE").back().at("id");
  EXPECT_NE(report({"show", id}).out.find("[withheld: --report-bytes]"), std::string::npos);
}

}  // namespace
}  // namespace evenkeel::test
