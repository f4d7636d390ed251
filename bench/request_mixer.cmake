find_package(fmt REQUIRED)
find_package(nlohmann_json REQUIRED)

add_executable(evenkeel-bench-mixer
  mixer/main.cc mixer/plot.cc mixer/run.cc zoo/clients.cc zoo/process.cc)
target_link_libraries(evenkeel-bench-mixer PRIVATE
  evenkeel_hosted CLI11::CLI11 fmt::fmt nlohmann_json::nlohmann_json)
add_dependencies(evenkeel-bench-mixer kvstore-annotated evenkeel-load)
