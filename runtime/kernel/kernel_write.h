#pragma once
// What must happen before the real kernel writes into the application's memory. A dirty tracker
// that write-protects pages by mprotect() cannot let the kernel fault on them (the call would fail
// with EFAULT), so it opens them first. The snapshot stands above this layer: it installs a hook.
#include <cstddef>

namespace evenkeel::kernel {

using KernelWriteHook = void (*)(void* memory, size_t bytes);

// Before any application thread runs. Null (the default): nothing to prepare.
void set_kernel_write_hook(KernelWriteHook hook);
// Any thread, lock held or not: before a real system call that fills the memory.
void prepare_kernel_write(void* memory, size_t bytes);

}  // namespace evenkeel::kernel
