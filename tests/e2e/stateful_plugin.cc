// Loaded by stateful_server when it is told to: data segment, .bss and a constructor of its own.
namespace {
int started = 0;
char untouched[3 * 4096];
int calls = 100;
[[gnu::constructor]] void start() { started = 7; }
}  // namespace

extern "C" int plugin_next() {
  untouched[4096] = static_cast<char>(untouched[4096] + 1);
  return started * 1000 + ++calls + untouched[4096];
}
