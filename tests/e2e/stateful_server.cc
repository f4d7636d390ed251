// A server with state of every kind that a process can have: answers one line per line, to one
// client at a time. Usage: e2e_stateful_server PORT DIRECTORY
#include <arpa/inet.h>
#include <dlfcn.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>
#include <x86intrin.h>

#include <climits>
#include <condition_variable>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <mutex>
#include <string>
#include <thread>

namespace {

char* g_title = nullptr;
int (*g_plugin)() = nullptr;
const char* g_map = nullptr;
char* g_protected = nullptr;
volatile uint64_t g_leaked = 0;
int g_leaks = 0;
int g_data = -1;
int g_log = -1;

std::mutex g_mutex;
std::condition_variable g_changed;
int g_wanted = 0;
int g_done = 0;
int g_by_worker = 0;
thread_local int t_mine = 10;

void work() {
  std::unique_lock<std::mutex> lock(g_mutex);
  for (;;) {
    g_changed.wait(lock, [] { return g_done != g_wanted; });
    g_by_worker = ++t_mine;
    ++g_done;
    g_changed.notify_all();
  }
}

int ask_worker() {
  std::unique_lock<std::mutex> lock(g_mutex);
  ++g_wanted;
  g_changed.notify_all();
  g_changed.wait(lock, [] { return g_done == g_wanted; });
  return g_by_worker;
}

std::string where() {
  char path[PATH_MAX] = {};
  if (::getcwd(path, sizeof path) == nullptr) return "nowhere";
  const char* base = std::strrchr(path, '/');
  return std::strcmp(base, "/native") == 0 || std::strcmp(base, "/replaced") == 0 ? "at home"
                                                                                  : path;
}

std::string state() {
  const mode_t mask = ::umask(0);
  ::umask(mask);
  rlimit core{};
  ::getrlimit(RLIMIT_CORE, &core);
  char data[4] = "";
  const ssize_t bytes = g_data < 0 ? 0 : ::read(g_data, data, 3);
  char line[512];
  std::snprintf(line, sizeof line,
                "%s mask %o core %lu title %s plugin %d map %.5s data %zd %s page %s",
                where().c_str(), mask, static_cast<unsigned long>(core.rlim_cur), g_title,
                g_plugin != nullptr ? g_plugin() : 0, g_map != nullptr ? g_map + 4096 : "none",
                bytes, data, g_protected != nullptr ? g_protected : "none");
  return line;
}

// A file of two pages and some, whose name is gone while it stays mapped.
std::string map_file() {
  const int fd = ::open("mapped", O_RDWR | O_CREAT, 0600);
  std::string content(4096, 'a');
  content += "hello";
  if (::write(fd, content.data(), content.size()) < 0) return "cannot write";
  ::fsync(fd);
  return "written";
}

std::string answer(const std::string& line) {
  if (line == "state") return state();
  if (line == "work") return std::to_string(ask_worker());
  if (line == "load") {
    void* library = ::dlopen("./plugin.so", RTLD_NOW);
    if (library == nullptr) return ::dlerror();
    g_plugin = reinterpret_cast<int (*)()>(::dlsym(library, "plugin_next"));
    return "loaded";
  }
  if (line == "map") return map_file();
  if (line == "open") {
    g_data = ::open("mapped", O_RDONLY);
    void* mapped = ::mmap(nullptr, 8192, PROT_READ, MAP_PRIVATE, g_data, 0);
    g_map = mapped == MAP_FAILED ? nullptr : static_cast<const char*>(mapped);
    g_log = ::open("log", O_WRONLY | O_CREAT | O_APPEND, 0600);
    ::lseek(g_data, 4094, SEEK_SET);
    return ::unlink("mapped") == 0 ? "opened" : "still there";
  }
  if (line == "leak") {  // past the runtime: every replica keeps another number
    g_leaked = ::__rdtsc();
    ++g_leaks;
    return "leak " + std::to_string(g_leaks);
  }
  if (line == "protect") {
    void* page = ::mmap(nullptr, 8192, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    g_protected = static_cast<char*>(page);
    std::strcpy(g_protected, "read-only");
    std::strcpy(g_protected + 4096, "not even that");
    ::mprotect(g_protected, 4096, PROT_READ);
    ::mprotect(g_protected + 4096, 4096, PROT_NONE);
    return "protected";
  }
  const size_t space = line.find(' ');
  const std::string word = line.substr(0, space);
  const std::string rest = space == std::string::npos ? "" : line.substr(space + 1);
  if (word == "title") {
    std::strncpy(g_title, rest.c_str(), std::strlen(g_title));
    return g_title;
  }
  if (word == "append") {
    const std::string text = rest + "\n";
    return ::write(g_log, text.data(), text.size()) < 0 ? "cannot write" : "appended";
  }
  return "what?";
}

void serve(int client) {
  std::string input;
  char buffer[4096];
  for (ssize_t bytes = 0; (bytes = ::read(client, buffer, sizeof buffer)) > 0;) {
    input.append(buffer, static_cast<size_t>(bytes));
    for (size_t end = 0; (end = input.find('\n')) != std::string::npos;) {
      const std::string reply = answer(input.substr(0, end)) + "\n";
      input.erase(0, end + 1);
      if (::write(client, reply.data(), reply.size()) < 0) break;
    }
  }
  ::close(client);
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 3) return 2;
  g_title = argv[2] + std::strlen(argv[2]) - 4;
  if (::chdir(argv[2]) != 0) return 3;
  ::umask(027);
  const rlimit core{12345, 12345};
  ::setrlimit(RLIMIT_CORE, &core);
  const int listener = ::socket(AF_INET, SOCK_STREAM, 0);
  const int on = 1;
  ::setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(static_cast<uint16_t>(std::atoi(argv[1])));
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  if (::bind(listener, reinterpret_cast<sockaddr*>(&address), sizeof address) != 0) return 4;
  if (::listen(listener, 16) != 0) return 5;
  std::thread(work).detach();
  std::strcpy(g_title, "used");
  for (int client = 0; (client = ::accept(listener, nullptr, nullptr)) >= 0;) serve(client);
  return 6;
}
