// Bytes side by side, and what threads did, drawn.
#include <fmt/format.h>

#include <algorithm>
#include <iterator>
#include <map>
#include <vector>

#include "runtime/host/html.h"
#include "runtime/host/operations.h"
#include "runtime/host/report_html.h"

namespace evenkeel::host {
namespace {

constexpr uint64_t kRowBytes = 16;
constexpr int kMaxLanes = 24;
constexpr int kLaneHeight = 34;
constexpr int kCellWidth = 38;
constexpr int kLabelWidth = 64;

// Whether the byte at this offset of the values is the same in all of them.
bool agrees(const record::Difference& d, size_t at) {
  const auto byte = [at](const record::Value& v) {
    return at < v.data().size() ? v.data()[at] : -1;
  };
  return std::all_of(d.values().begin(), d.values().end(),
                     [&](const record::Value& v) { return byte(v) == byte(d.values(0)); });
}

void add_marked(std::string& out, bool differs, const std::string& text) {
  out += differs ? fmt::format("<mark>{}</mark>", text) : text;
}

// One row of a hex dump: offset, bytes, characters.
void add_row(std::string& out, const record::Difference& d, const std::string& data, uint64_t row) {
  std::string hex;
  std::string text;
  for (uint64_t at = row; at < row + kRowBytes; ++at) {
    const bool shown = at >= d.shown_begin() && at - d.shown_begin() < data.size();
    const size_t index = shown ? at - d.shown_begin() : 0;
    const bool differs = shown && !agrees(d, index);
    const auto byte = static_cast<unsigned char>(shown ? data[index] : ' ');
    add_marked(hex, differs, shown ? fmt::format("{:02x}", byte) : "  ");
    hex += (at + 1) % 8 == 0 ? "  " : " ";
    const bool printable = byte >= 0x20 && byte < 0x7f;
    add_marked(text, differs, printable ? escaped(std::string(1, static_cast<char>(byte))) : "·");
  }
  fmt::format_to(std::back_inserter(out),
                 "<tr><td class=\"mono dim\">{:>6}</td><td class=\"mono\">{}</td>"
                 "<td class=\"mono\">{}</td></tr>",
                 row, hex, text);
}

void add_value(std::string& out, const record::Difference& d, int number) {
  const record::Value& value = d.values(number);
  fmt::format_to(std::back_inserter(out), "<div><p class=\"dim\">{}</p>", escaped(who(value)));
  if (d.withheld()) {
    out += "<p>withheld by --report-bytes</p></div>";
    return;
  }
  fmt::format_to(std::back_inserter(out), "<table class=\"hex side{}\">", number == 0 ? 0 : 1);
  const uint64_t begin = d.shown_begin() / kRowBytes * kRowBytes;
  for (uint64_t row = begin; row < d.shown_begin() + value.data().size(); row += kRowBytes) {
    add_row(out, d, value.data(), row);
  }
  out += "</table></div>";
}

const char* colour_of(uint32_t tag) {
  static constexpr const char* kColours[] = {"#8b969f", "#1f6feb", "#8250df", "#0a7ea4", "#bf8700",
                                             "#bc4c00", "#cf222e", "#57606a", "#1a7f37", "#6e7781",
                                             "#6e7781", "#9a6700", "#953800"};
  const uint32_t kind = tag & 0x3f;
  return kColours[kind < std::size(kColours) ? kind : 0];
}

struct Lane {
  const record::Thread* thread;
  std::vector<int> column;  // of each operation
};

// With a common order each operation has a column of its own; else threads are aligned at the end
// of the batch, and columns of different threads have nothing to do with each other.
std::vector<Lane> lanes_of(const Report& report, bool ordered, int& columns) {
  std::vector<Lane> lanes;
  std::map<uint64_t, int> order;
  for (const record::Thread& t : report.threads()) {
    if (t.operations_size() == 0 || lanes.size() == kMaxLanes) continue;
    lanes.push_back({&t, {}});
    for (const record::Operation& o : t.operations()) order[o.order()] = 0;
    columns = std::max(columns, t.operations_size());
  }
  if (ordered) {
    columns = 0;
    for (auto& [position, column] : order) column = columns++;
  }
  for (Lane& lane : lanes) {
    const int first = columns - lane.thread->operations_size();
    for (int i = 0; i < lane.thread->operations_size(); ++i) {
      lane.column.push_back(ordered ? order[lane.thread->operations(i).order()] : first + i);
    }
  }
  return lanes;
}

void add_operation(std::string& out, const record::Operation& o, int x, int y) {
  std::string title =
      fmt::format("operation {}: {}, version {}", o.index(), operation_text(o.tag()), o.version());
  if (!o.place().empty()) title += ", " + o.place();
  if (o.has_site()) title += ", " + code_text(o.site());
  fmt::format_to(
      std::back_inserter(out),
      "<g><title>{}</title><rect x=\"{}\" y=\"{}\" width=\"{}\" height=\"20\" rx=\"4\" fill=\"{}\""
      "{}/><text x=\"{}\" y=\"{}\" font-size=\"10\" text-anchor=\"middle\" "
      "fill=\"#fff\">v{}</text></g>",
      escaped(title), x + 2, y + 7, kCellWidth - 4, colour_of(o.tag()),
      o.contradiction() ? " stroke=\"#d1242f\" stroke-width=\"3\"" : "", x + kCellWidth / 2, y + 21,
      o.version());
}

std::string legend_of(const std::vector<Lane>& lanes) {
  std::map<uint32_t, std::string> kinds;
  for (const Lane& lane : lanes) {
    for (const record::Operation& o : lane.thread->operations()) {
      kinds[o.tag() & 0x3f] = operation_text(o.tag() & 0x3f);
    }
  }
  std::string out = "<p class=\"dim\">";
  for (const auto& [tag, name] : kinds) {
    fmt::format_to(std::back_inserter(out),
                   "<span style=\"display:inline-block;width:10px;height:10px;border-radius:2px;"
                   "background:{}\"></span> {} &nbsp; ",
                   colour_of(tag), escaped(name));
  }
  return out + "v: version of the object that the thread saw</p>";
}

}  // namespace

std::string difference_html(const record::Difference& d) {
  std::string out = "<div class=\"card\"><h3>" + escaped(place_of(d.object()));
  const bool output = d.object().kind() == record::Object::OUTPUT;
  out += output ? fmt::format(", from byte {}</h3>", d.begin())
                : fmt::format(", bytes [{},{})</h3>", d.begin(), d.end());
  out += "<div class=\"sides\">";
  for (int i = 0; i < d.values_size(); ++i) add_value(out, d, i);
  return out + "</div></div>\n";
}

std::string timeline_html(const Report& report) {
  const bool ordered = std::any_of(
      report.threads().begin(), report.threads().end(),
      [](const auto& t) { return t.operations_size() != 0 && t.operations(0).order() != 0; });
  int columns = 0;
  const std::vector<Lane> lanes = lanes_of(report, ordered, columns);
  if (lanes.empty()) return "";
  std::string out = fmt::format(
      "<h2>Last ordered operations</h2><p class=\"dim\">Of the primary's threads, up to the end of "
      "the batch. {}</p><div class=\"card\"><svg width=\"{}\" height=\"{}\" role=\"img\">",
      ordered ? "From left to right in their order."
              : "Each line is one thread's order; between lines none was recorded.",
      kLabelWidth + columns * kCellWidth, static_cast<int>(lanes.size()) * kLaneHeight);
  int y = 0;
  for (const Lane& lane : lanes) {
    fmt::format_to(std::back_inserter(out),
                   "<text x=\"0\" y=\"{}\" font-size=\"12\" fill=\"currentColor\">T{}</text>"
                   "<line x1=\"{}\" x2=\"{}\" y1=\"{}\" y2=\"{}\" stroke=\"currentColor\" "
                   "stroke-opacity=\".15\"/>",
                   y + 21, lane.thread->id(), kLabelWidth - 16, kLabelWidth + columns * kCellWidth,
                   y + 17, y + 17);
    for (int i = 0; i < lane.thread->operations_size(); ++i) {
      const int column = lane.column[static_cast<size_t>(i)];
      add_operation(out, lane.thread->operations(i), kLabelWidth + column * kCellWidth, y);
    }
    y += kLaneHeight;
  }
  return out + "</svg>" + legend_of(lanes) + "</div>\n";
}

}  // namespace evenkeel::host
