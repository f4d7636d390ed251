# Flags travel on interface targets, linked PRIVATE, so that no target inherits another's rules.

option(EVENKEEL_WERROR "Treat warnings as errors" ${PROJECT_IS_TOP_LEVEL})
set(EVENKEEL_SANITIZE "" CACHE STRING
  "Comma list for -fsanitize=; hosted code and unit tests only, never the preloaded library")

if(EVENKEEL_SANITIZE)
  add_compile_options(-fsanitize=${EVENKEEL_SANITIZE} -fno-omit-frame-pointer)
  add_link_options(-fsanitize=${EVENKEEL_SANITIZE})
endif()

add_library(evenkeel_warnings INTERFACE)
target_compile_options(evenkeel_warnings INTERFACE
  -Wall -Wextra -Wshadow -Wconversion -Wundef $<$<BOOL:${EVENKEEL_WERROR}>:-Werror>)

# Code that lives inside somebody else's process. It runs on borrowed stacks and switches thread
# pointers, so nothing the compiler emits may reach for %fs (stack protector, thread-safe statics).
add_library(evenkeel_injected INTERFACE)
target_link_libraries(evenkeel_injected INTERFACE evenkeel_warnings)
target_include_directories(evenkeel_injected INTERFACE ${PROJECT_SOURCE_DIR})
target_compile_options(evenkeel_injected INTERFACE
  -O2 -fno-exceptions -fno-rtti -fno-threadsafe-statics -fno-stack-protector -fno-strict-aliasing
  -fno-omit-frame-pointer
  $<$<CXX_COMPILER_ID:Clang>:-Wglobal-constructors -Wexit-time-destructors>)
if(NOT EVENKEEL_SANITIZE)  # sanitizers make frames larger; a list has commas, no generator expression
  target_compile_options(evenkeel_injected INTERFACE -Wframe-larger-than=2048)
endif()

# Ordinary C++20: coordinator, command line, examples, benchmarks.
add_library(evenkeel_hosted INTERFACE)
target_link_libraries(evenkeel_hosted INTERFACE evenkeel_warnings)
target_include_directories(evenkeel_hosted INTERFACE ${PROJECT_SOURCE_DIR})

# An injected layer is an OBJECT library: the preloaded library and (sanitized) unit tests link the
# same objects. PRIVATE: they link the objects, not the flags.
function(evenkeel_injected_library name)
  add_library(${name} OBJECT ${ARGN})
  set_target_properties(${name} PROPERTIES POSITION_INDEPENDENT_CODE ON
    CXX_VISIBILITY_PRESET hidden VISIBILITY_INLINES_HIDDEN ON)
  target_link_libraries(${name} PRIVATE evenkeel_injected)
  target_include_directories(${name} PUBLIC ${PROJECT_SOURCE_DIR})
endfunction()

# A static library of a protobuf file, whose path in the tree is that of its header. Generated code
# has its own ideas of warnings, and its headers are the system's for everybody else.
function(evenkeel_protobuf_library name file)
  find_package(Protobuf REQUIRED)
  cmake_path(GET file PARENT_PATH folder)
  cmake_path(REMOVE_EXTENSION file OUTPUT_VARIABLE stem)
  set(generated ${CMAKE_CURRENT_BINARY_DIR}/protobuf)
  file(MAKE_DIRECTORY ${generated}/${folder})
  add_custom_command(
    OUTPUT ${generated}/${stem}.pb.cc ${generated}/${stem}.pb.h
    COMMAND protobuf::protoc --cpp_out ${generated} -I ${PROJECT_SOURCE_DIR} ${file}
    WORKING_DIRECTORY ${PROJECT_SOURCE_DIR}
    DEPENDS ${PROJECT_SOURCE_DIR}/${file}
    COMMENT "Generating from ${file}")
  add_library(${name} STATIC ${generated}/${stem}.pb.cc)
  target_include_directories(${name} SYSTEM PUBLIC ${generated})
  target_link_libraries(${name} PUBLIC protobuf::libprotobuf)
endfunction()
