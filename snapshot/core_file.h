#pragma once
// A core file of a replica shows what one of the bare server would: heap, maps, globals, stacks.
// The runtime's own memory is left out, and so is what arenas of terabytes have in reserve: the
// kernel would look at every page of it, for minutes, and the file would claim their size.
//
// Threads: the pump. Memory: none. Errors: none, the file is larger where the kernel refuses.

namespace evenkeel::snapshot {

// Before the process dies of a signal that dumps core. For good: there is no way back.
void shrink_core_file();

}  // namespace evenkeel::snapshot
