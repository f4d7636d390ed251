find_package(fmt REQUIRED)
find_package(nlohmann_json REQUIRED)

add_executable(evenkeel-zoo
  zoo/checks_counts.cc zoo/checks_liveness.cc zoo/checks_values.cc zoo/clients.cc zoo/load.cc
  zoo/main.cc zoo/options.cc zoo/patterns.cc zoo/process.cc zoo/report.cc zoo/runner.cc)
target_link_libraries(evenkeel-zoo PRIVATE
  evenkeel_hosted CLI11::CLI11 fmt::fmt nlohmann_json::nlohmann_json)
add_dependencies(evenkeel-zoo zoo_servers)
