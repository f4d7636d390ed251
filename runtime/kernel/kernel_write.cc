#include "runtime/kernel/kernel_write.h"

namespace evenkeel::kernel {
namespace {
constinit KernelWriteHook g_hook = nullptr;
}  // namespace

void set_kernel_write_hook(KernelWriteHook hook) { g_hook = hook; }

void prepare_kernel_write(void* memory, size_t bytes) {
  if (g_hook != nullptr && bytes != 0) g_hook(memory, bytes);
}

}  // namespace evenkeel::kernel
