# Writes OUTPUT: one `{number, "name"},` per line, from the kernel's own header INPUT.
file(STRINGS ${INPUT} lines REGEX "^#define __NR_[a-z0-9_]+ [0-9]+")
set(rows "")
foreach(line IN LISTS lines)
  string(REGEX REPLACE "^#define __NR_([a-z0-9_]+) ([0-9]+).*" "{\\2, \"\\1\"},\n" row "${line}")
  string(APPEND rows "${row}")
endforeach()
file(WRITE ${OUTPUT} "${rows}")
