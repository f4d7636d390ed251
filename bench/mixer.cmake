find_package(benchmark REQUIRED)

add_executable(mixer_bench mixer_bench.cc)
target_link_libraries(mixer_bench PRIVATE evenkeel_hosted evenkeel_host benchmark::benchmark)
