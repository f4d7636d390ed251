#pragma once
// Line charts as SVG.
#include <filesystem>
#include <string>
#include <utility>
#include <vector>

namespace evenkeel::bench {

struct Line {
  std::string name;
  std::vector<std::pair<double, double>> points;  // by x, positive
};

// Both axes are logarithmic. Throws std::runtime_error if the file cannot be written.
void plot(const std::filesystem::path& file, const std::string& title, const std::string& x_title,
          const std::vector<Line>& lines);

}  // namespace evenkeel::bench
