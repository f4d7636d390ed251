#include "runtime/host/live_view.h"

#include <fcntl.h>
#include <httplib.h>
#include <signal.h>

#include <chrono>
#include <mutex>
#include <thread>
#include <utility>

#include "runtime/host/refusal.h"
#include "runtime/host/status_page.h"

namespace evenkeel::host {
namespace {

constexpr size_t kAnsweringThreads = 2;
constexpr time_t kClientTimeoutS = 1;
constexpr size_t kMaxRequestBytes = 8192;
constexpr std::chrono::milliseconds kEndPatience{500};

void set_limits(httplib::Server& server) {
  server.new_task_queue = [] { return new httplib::ThreadPool(kAnsweringThreads); };
  server.set_keep_alive_max_count(1);
  server.set_read_timeout(kClientTimeoutS);
  server.set_write_timeout(kClientTimeoutS);
  server.set_payload_max_length(kMaxRequestBytes);
  // Instead of the library's own, which share the port with whoever else wants it.
  server.set_socket_options([](socket_t socket) {
    const int on = 1;
    ::setsockopt(socket, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    ::fcntl(socket, F_SETFD, FD_CLOEXEC);
  });
}

void refuse_other_names(httplib::Server& server) {
  server.set_pre_routing_handler([](const httplib::Request& request, httplib::Response& answer) {
    answer.set_header("X-Content-Type-Options", "nosniff");
    answer.set_header("Cache-Control", "no-store");
    if (is_local_host_header(request.get_header_value("Host"))) {
      return httplib::Server::HandlerResponse::Unhandled;
    }
    answer.status = 403;
    answer.set_content("not by this name\n", "text/plain");
    return httplib::Server::HandlerResponse::Handled;
  });
}

int listen_on(httplib::Server& server, const AdminAddress& address) {
  if (address.port == 0) {
    if (const int port = server.bind_to_any_port(address.host.c_str()); port > 0) return port;
  } else if (server.bind_to_port(address.host.c_str(), address.port)) {
    return address.port;
  }
  throw Refusal(
      kExitUsage,
      fmt::format("the live view cannot listen on {} port {}", address.host, address.port),
      "choose another port with --admin 127.0.0.1:PORT");
}

}  // namespace

// Threads: any, under the mutex.
struct LiveView::Source {
  std::mutex mutex;
  bool open = true;  // false: the run is over, and what is pointed to is gone
  const wire::Deck* deck;
  const LiveStats* stats;
  std::string name;
  std::filesystem::path reports;

  [[nodiscard]] Metrics metrics() const { return collect_metrics(*deck, stats->read(), name); }
  [[nodiscard]] std::string page() const {
    try {
      return status_page(metrics(), list_reports(reports).rows, "");
    } catch (const Refusal& refusal) {
      return status_page(metrics(), {}, refusal.what());
    }
  }
  void answer(httplib::Response& response, const char* type, std::string (*text)(const Source&)) {
    const std::lock_guard lock(mutex);
    if (open) {
      response.set_content(text(*this), type);
    } else {
      response.status = 503;
    }
  }
};

LiveView::LiveView(const AdminAddress& address, const wire::Deck& deck, const LiveStats& stats,
                   std::string name, std::filesystem::path reports)
    : source_(new Source{{}, true, &deck, &stats, std::move(name), std::move(reports)}) {
  if (address.host.empty()) return;
  // The library ignores SIGPIPE for the whole process, which the server would inherit.
  struct sigaction pipe {};
  ::sigaction(SIGPIPE, nullptr, &pipe);
  server_ = std::make_shared<httplib::Server>();
  ::sigaction(SIGPIPE, &pipe, nullptr);
  set_limits(*server_);
  refuse_other_names(*server_);
  server_->Get("/metrics", [source = source_](const httplib::Request&, httplib::Response& answer) {
    source->answer(answer, "text/plain; version=0.0.4; charset=utf-8",
                   [](const Source& s) { return prometheus_text(s.metrics()); });
  });
  server_->Get("/", [source = source_](const httplib::Request&, httplib::Response& answer) {
    source->answer(answer, "text/html; charset=utf-8", [](const Source& s) { return s.page(); });
  });
  const int port = listen_on(*server_, address);
  const bool six = address.host.find(':') != std::string::npos;
  say("live view at http://{}:{}/", six ? fmt::format("[{}]", address.host) : address.host, port);
}

LiveView::~LiveView() {
  if (!ended_.valid()) return;
  {
    const std::lock_guard lock(source_->mutex);
    source_->open = false;
  }
  server_->stop();
  ended_.wait_for(kEndPatience);  // who is still being read from then ends with the process
}

void LiveView::start() {
  if (server_ == nullptr) return;
  sigset_t all;
  sigset_t old;
  ::sigfillset(&all);
  ::pthread_sigmask(SIG_SETMASK, &all, &old);  // inherited by the new threads
  std::promise<void> ended;
  ended_ = ended.get_future();
  std::thread([server = server_, ended = std::move(ended)]() mutable {
    server->listen_after_bind();
    ended.set_value();
  }).detach();
  ::pthread_sigmask(SIG_SETMASK, &old, nullptr);
}

}  // namespace evenkeel::host
