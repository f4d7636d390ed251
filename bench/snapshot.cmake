find_package(benchmark REQUIRED)

add_executable(snapshot_bench ${PROJECT_SOURCE_DIR}/bench/snapshot_bench.cc)
target_link_libraries(snapshot_bench PRIVATE
  evenkeel_hosted evenkeel_core evenkeel_snapshot evenkeel_verify benchmark::benchmark)
