# Locks and switches: ns per operation, by order mode, beside glibc's.
add_executable(sched_bench ${CMAKE_CURRENT_LIST_DIR}/sched_bench.cc
  ${CMAKE_CURRENT_LIST_DIR}/../tests/sched/replica.cc)
target_link_libraries(sched_bench PRIVATE
  evenkeel_sync evenkeel_sched evenkeel_core evenkeel_hosted)
