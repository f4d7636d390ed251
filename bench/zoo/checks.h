#pragma once
// The checking client of each pattern of examples/zoo.
#include "bench/zoo/load.h"

namespace evenkeel::zoo {

// checks_counts.cc: answers that number something
void check_split_lock(Load& load);
void check_lost_update(Load& load);
void check_lazy_room(Load& load);
void check_then_add(Load& load);
void check_closed_log(Load& load);
void check_racy_statistics(Load& load);

// checks_values.cc: answers that must be what was stored, or a function of the request
void check_property_cache(Load& load);
void check_reference_count(Load& load);
void check_aba_free_list(Load& load);
void check_hash_resize(Load& load);
void check_log_buffer(Load& load);
void check_shared_outbox(Load& load);

// checks_liveness.cc: an answer must come at all
void check_early_thread(Load& load);
void check_freed_queue(Load& load);
void check_early_size(Load& load);
void check_proc_info(Load& load);
void check_lost_wakeup(Load& load);
void check_lock_order(Load& load);
void check_nested_monitor(Load& load);
void check_after_you(Load& load);

}  // namespace evenkeel::zoo
