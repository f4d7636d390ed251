#pragma once
// The vDSO reads the real clock without a system call, so its entries are overwritten with jumps to
// functions of ours: everybody, the C library's internals included, sees virtual time.
// Threads: before there is more than one. Memory: the vDSO's own pages become private copies.
#include <cstdint>

#include "runtime/core/sys.h"

namespace evenkeel::kernel {

// Patches the vDSO of this process. Returns how many functions; 0 if it has none (vdso=0). Fails
// with the kernel's errno if the code cannot be changed.
sys::Result patch_vdso();

// How code is changed. kMemoryFile writes through /proc/self/mem, which is possible where the
// kernel has sealed its mappings against mprotect (CONFIG_MSEAL_SYSTEM_MAPPINGS, Linux 6.16).
enum class CodeWriter { kMprotect, kMemoryFile };
sys::Result patch_vdso_at(uint64_t elf_header, CodeWriter writer);
// AT_SYSINFO_EHDR of this process; 0 if there is none.
[[nodiscard]] uint64_t find_vdso();

}  // namespace evenkeel::kernel
