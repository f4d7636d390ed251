#include "bench/zoo/patterns.h"

#include <algorithm>
#include <string_view>

namespace evenkeel::zoo {
namespace {

constexpr Mode kModes[] = {
    {"default", ""},
    {"recorded-parallel", "--order recorded --follower parallel"},
    {"independent", "--order independent"},
    {"independent-serial", "--order independent --follower serial"},
    {"sequential", "--mode sequential"},
    {"one-replica", "--replicas 1"},
};

constexpr Pattern kPatterns[] = {
    {"split_lock", "atomicity", "memcached #127", "default", check_split_lock, 4, 400},
    {"lost_update", "data race", "Netzer and Miller 1992", "default", check_lost_update, 4, 400},
    {"property_cache", "multi-variable", "Mozilla property cache (Lu et al. 2008)", "default",
     check_property_cache, 3, 400},
    {"early_thread", "use before init", "Transmission #1818", "default", check_early_thread, 4,
     400},
    {"freed_queue", "use after free", "pbzip2 0.9.4", "default", check_freed_queue, 4, 400},
    {"reference_count", "double free", "Apache #21287", "default", check_reference_count, 4, 400},
    {"log_buffer", "log corruption", "Apache #25520", "default", check_log_buffer, 4, 400},
    {"lost_wakeup", "lost wake-up", "memcached #920", "default", check_lost_wakeup, 2, 4000},
    {"lock_order", "deadlock", "MySQL #56299", "default", check_lock_order, 4, 400},
    {"nested_monitor", "condition deadlock", "Lister 1977", "default", check_nested_monitor, 6,
     400},
    {"check_then_add", "check-then-act", "memcached #1242", "default", check_then_add, 4, 400},
    {"proc_info", "check-then-use", "MySQL #3596", "default", check_proc_info, 4, 400},
    {"closed_log", "intermediate state", "MySQL #791", "default", check_closed_log, 4, 400},
    {"early_size", "unsafe publication", "MySQL #12848", "default", check_early_size, 4, 400},
    {"aba_free_list", "ABA", "IBM System/370 free pool", "default", check_aba_free_list, 4, 400},
    {"hash_resize", "unlocked resize", "JDK-6423457", "default", check_hash_resize, 4, 400},
    {"racy_statistics", "benign", "MySQL statistic_increment", "default", check_racy_statistics, 4,
     200},
    {"lazy_room", "lazy initialisation", "Schmidt and Harrison 1996", "default", check_lazy_room, 4,
     400},
    {"shared_outbox", "connection buffer", "Cherokee 0.9.2", "default", check_shared_outbox, 4,
     400},
    {"after_you", "livelock", "Dijkstra 1965", "default", check_after_you, 4, 400},
};

template <typename Row>
const Row* find(std::span<const Row> rows, const char* name) {
  const auto row = std::find_if(rows.begin(), rows.end(), [&](const Row& candidate) {
    return std::string_view(candidate.name) == name;
  });
  return row == rows.end() ? nullptr : &*row;
}

}  // namespace

std::span<const Mode> modes() { return kModes; }
std::span<const Pattern> patterns() { return kPatterns; }
const Mode* find_mode(const char* name) { return find(modes(), name); }
const Pattern* find_pattern(const char* name) { return find(patterns(), name); }

}  // namespace evenkeel::zoo
