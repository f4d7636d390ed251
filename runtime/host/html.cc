#include "runtime/host/html.h"

#include <fmt/format.h>

namespace evenkeel::host {
namespace {

constexpr char kStyle[] = R"(
:root{--bg:#fbfbfa;--fg:#1d2327;--dim:#68737d;--line:#e1e4e6;--card:#fff;--accent:#1f6feb;
--bad:#b42318;--badbg:#fde8e6;--good:#1a7f37;--mark:#ffd9d4;--mark2:#cdeedd;--code:#f4f5f6}
@media (prefers-color-scheme:dark){:root{--bg:#14171a;--fg:#dfe3e6;--dim:#8b969f;--line:#2b3136;
--card:#1b1f23;--accent:#6ea8fe;--bad:#ff8f85;--badbg:#43201d;--good:#6fcf8b;--mark:#6b2a25;
--mark2:#1f4a35;--code:#22272b}}
*{box-sizing:border-box}
body{margin:0;background:var(--bg);color:var(--fg);
font:15px/1.55 system-ui,-apple-system,"Segoe UI",Roboto,"Helvetica Neue",Arial,"DejaVu Sans",sans-serif}
main{max-width:1080px;margin:0 auto;padding:32px 24px 64px}
h1{font-size:24px;line-height:1.3;margin:8px 0 4px;font-weight:650;overflow-wrap:anywhere}
h2{font-size:13px;margin:36px 0 10px;font-weight:650;letter-spacing:.06em;text-transform:uppercase;
color:var(--dim)}
h3{font-size:15px;margin:20px 0 8px;font-weight:600;overflow-wrap:anywhere}
p{margin:6px 0}.dim{color:var(--dim)}
code,pre,.mono,svg text{font-family:ui-monospace,SFMono-Regular,Menlo,Consolas,"DejaVu Sans Mono",monospace}
code,pre{font-size:13px}
pre{margin:8px 0;padding:12px 14px;background:var(--code);border-radius:8px;overflow-x:auto}
.card{background:var(--card);border:1px solid var(--line);border-radius:10px;padding:14px 18px;
margin:10px 0;overflow-x:auto}
.card>h3:first-child{margin-top:2px}
.sides{display:flex;flex-wrap:wrap;gap:4px 40px}
.badge{display:inline-block;padding:2px 10px;border-radius:999px;font-size:12px;font-weight:650;
letter-spacing:.04em;background:var(--badbg);color:var(--bad)}
table{border-collapse:collapse;width:100%;font-size:13.5px}
th{text-align:left;font-weight:600;color:var(--dim);font-size:12px}
th,td{padding:5px 14px 5px 0;border-bottom:1px solid var(--line);vertical-align:top}
tr:last-child td{border-bottom:0}td.n,th.n{text-align:right;font-variant-numeric:tabular-nums}
td.mono{font-size:12.5px;overflow-wrap:anywhere}
dl{display:grid;grid-template-columns:max-content 1fr;gap:4px 20px;margin:0}
dt{color:var(--dim)}dd{margin:0;overflow-wrap:anywhere}
mark{background:var(--mark);color:inherit;border-radius:2px}
.side1 mark{background:var(--mark2)}
.hex{border:0;width:auto;font-size:12.5px}.hex td{border:0;padding:1px 12px 1px 0;white-space:pre}
.frame{margin:6px 0}.here{background:var(--mark);display:block}
.tiles{display:grid;grid-template-columns:repeat(auto-fill,minmax(150px,1fr));gap:12px}
.tile{background:var(--card);border:1px solid var(--line);border-radius:10px;padding:12px 16px}
.tile b{display:block;font-size:22px;font-weight:650;font-variant-numeric:tabular-nums}
.tile span{color:var(--dim);font-size:12.5px}
a{color:var(--accent)}footer{margin-top:40px;color:var(--dim);font-size:12.5px}
)";

}  // namespace

std::string escaped(std::string_view text) {
  std::string out;
  out.reserve(text.size());
  for (const char c : text) {
    switch (c) {
      case '&':
        out += "&amp;";
        break;
      case '<':
        out += "&lt;";
        break;
      case '>':
        out += "&gt;";
        break;
      case '"':
        out += "&quot;";
        break;
      case '\'':
        out += "&#39;";
        break;
      default:
        out += c == '\n' || c == '\t' || static_cast<unsigned char>(c) >= 0x20 ? c : ' ';
    }
  }
  return out;
}

std::string page_of(std::string_view title, std::string_view head, std::string_view body) {
  return fmt::format(
      R"(<!DOCTYPE html>
<html lang="en"><head><meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
{}<title>{}</title><style>{}</style></head>
<body><main>
{}</main></body></html>
)",
      head, escaped(title), kStyle, body);
}

}  // namespace evenkeel::host
