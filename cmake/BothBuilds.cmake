# Copied by scripts/test to build/test/CTestTestfile.cmake: the tests of the asan and the release
# build as one list. Names from the asan build get a prefix, so that a failure says where it was.

# Both functions pass every argument on in its own brackets: a list would fall apart at the
# semicolons inside arguments. They are called with two arguments or more.
function(add_test name)
  set(arguments "")
  math(EXPR last "${ARGC} - 1")
  foreach(i RANGE 1 ${last})
    string(APPEND arguments " [==[${ARGV${i}}]==]")
  endforeach()
  cmake_language(EVAL CODE "_add_test(${prefix}${name} ${arguments})")
endfunction()

function(set_tests_properties name)
  set(arguments "")
  math(EXPR last "${ARGC} - 1")
  foreach(i RANGE 1 ${last})
    string(APPEND arguments " [==[${ARGV${i}}]==]")
  endforeach()
  cmake_language(EVAL CODE "_set_tests_properties(${prefix}${name} ${arguments})")
endfunction()

set(prefix asan.)
subdirs("../asan")
set(prefix "")
subdirs("../release")
