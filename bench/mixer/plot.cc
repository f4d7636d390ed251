#include "bench/mixer/plot.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <fstream>
#include <iterator>
#include <stdexcept>

namespace evenkeel::bench {
namespace {

constexpr double kWidth = 720;
constexpr double kHeight = 440;
constexpr double kLeft = 80;
constexpr double kRight = 180;  // the legend
constexpr double kTop = 40;
constexpr double kBottom = 60;
constexpr const char* kNote = "requests are real waiting, so two cores can overlap sixteen";
constexpr const char* kColours[] = {"#1b6ca8", "#c8553d", "#588b3c", "#7a4ea3",
                                    "#c49a2c", "#4a4a4a", "#2ca6a4", "#a83279"};

struct Axis {
  double low = INFINITY;
  double high = 0;
  void include(double value) {
    low = std::min(low, value);
    high = std::max(high, value);
  }
  [[nodiscard]] double place(double value) const {
    return high <= low ? 0.5 : std::log(value / low) / std::log(high / low);
  }
};

struct Chart {
  Axis x, y;
  [[nodiscard]] double across(double value) const {
    return kLeft + x.place(value) * (kWidth - kLeft - kRight);
  }
  [[nodiscard]] double down(double value) const {
    return kHeight - kBottom - y.place(value) * (kHeight - kTop - kBottom);
  }
};

std::string text(double x, double y, const char* anchor, const std::string& words) {
  return fmt::format(R"(<text x="{:.1f}" y="{:.1f}" text-anchor="{}">{}</text>)"
                     "\n",
                     x, y, anchor, words);
}

std::string rule(double x1, double y1, double x2, double y2) {
  return fmt::format(R"(<path d="M{:.1f} {:.1f}L{:.1f} {:.1f}" stroke="#ddd"/>)"
                     "\n",
                     x1, y1, x2, y2);
}

std::string axes(const Chart& chart, const std::vector<Line>& lines) {
  std::string out;
  std::vector<double> marks;
  for (const Line& line : lines) {
    for (const auto& [x, y] : line.points) marks.push_back(x);
  }
  std::sort(marks.begin(), marks.end());
  marks.erase(std::unique(marks.begin(), marks.end()), marks.end());
  for (const double x : marks) {
    out += rule(chart.across(x), kTop, chart.across(x), kHeight - kBottom);
    out += text(chart.across(x), kHeight - kBottom + 18, "middle", fmt::format("{:g}", x));
  }
  for (double y = std::pow(10, std::ceil(std::log10(chart.y.low))); y <= chart.y.high; y *= 10) {
    out += rule(kLeft, chart.down(y), kWidth - kRight, chart.down(y));
    out += text(kLeft - 8, chart.down(y) + 4, "end", fmt::format("{:g}", y));
  }
  return out;
}

std::string curve(const Chart& chart, const Line& line, size_t index) {
  const char* colour = kColours[index % std::size(kColours)];
  std::string path;
  std::string dots;
  for (const auto& [x, y] : line.points) {
    path +=
        fmt::format("{}{:.1f} {:.1f}", path.empty() ? "M" : "L", chart.across(x), chart.down(y));
    dots += fmt::format(R"(<circle cx="{:.1f}" cy="{:.1f}" r="3" fill="{}"/>)"
                        "\n",
                        chart.across(x), chart.down(y), colour);
  }
  const double at = kTop + 18 * static_cast<double>(index);
  return fmt::format(R"(<path d="{}" fill="none" stroke="{}" stroke-width="2"/>)"
                     "\n{}"
                     R"(<rect x="{:.1f}" y="{:.1f}" width="12" height="4" fill="{}"/>)"
                     "\n{}",
                     path, colour, dots, kWidth - kRight + 14, at - 6, colour,
                     text(kWidth - kRight + 32, at, "start", line.name));
}

}  // namespace

void plot(const std::filesystem::path& file, const std::string& title, const std::string& x_title,
          const std::vector<Line>& lines) {
  Chart chart;
  for (const Line& line : lines) {
    for (const auto& [x, y] : line.points) {
      chart.x.include(x);
      chart.y.include(y);
    }
  }
  std::string out = fmt::format(
      R"(<svg xmlns="http://www.w3.org/2000/svg" width="{0}" height="{1}" viewBox="0 0 {0} {1}")"
      R"( font-family="sans-serif" font-size="12"><rect width="100%" height="100%" fill="white"/>)"
      "\n",
      kWidth, kHeight);
  out += text(kLeft, 20, "start", title + " (requests/s; " + kNote + ")");
  out += axes(chart, lines);
  out += text((kLeft + kWidth - kRight) / 2, kHeight - 16, "middle", x_title);
  for (size_t i = 0; i < lines.size(); ++i) out += curve(chart, lines[i], i);
  out += "</svg>\n";
  std::ofstream stream(file);
  stream << out;
  if (!stream.flush()) throw std::runtime_error("cannot write " + file.string());
}

}  // namespace evenkeel::bench
