find_package(benchmark REQUIRED)

add_executable(heap_bench heap_bench.cc)
target_include_directories(heap_bench PRIVATE ${PROJECT_SOURCE_DIR})
target_link_libraries(heap_bench PRIVATE evenkeel_core evenkeel_hosted benchmark::benchmark)
