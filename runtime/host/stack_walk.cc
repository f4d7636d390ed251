#include "runtime/host/stack_walk.h"

#include <elfutils/libdwfl.h>

#include <cstring>

namespace evenkeel::host {

struct StackWalk::Current {
  const wire::Access* access = nullptr;
  std::vector<uint64_t> frames;
  pid_t pid = 0;
};

namespace {

constexpr int kStackPointer = 7;  // DWARF's number of rsp

}  // namespace

// libdwfl's view of one thread that stands at the access.
namespace stack_walk {

template <typename Current>
pid_t next_thread(Dwfl*, void* argument, void** thread_argument) {
  auto* current = static_cast<Current*>(argument);
  if (*thread_argument != nullptr) return 0;
  *thread_argument = current;
  return current->pid;
}

template <typename Current>
bool read_memory(Dwfl*, Dwarf_Addr address, Dwarf_Word* result, void* argument) {
  const wire::Access& access = *static_cast<Current*>(argument)->access;
  const uint64_t offset = address - access.registers[kStackPointer];
  if (offset > access.stack_bytes || access.stack_bytes - offset < sizeof *result) return false;
  std::memcpy(result, access.stack + offset, sizeof *result);
  return true;
}

template <typename Current>
bool set_registers(Dwfl_Thread* thread, void* argument) {
  const wire::Access& access = *static_cast<Current*>(argument)->access;
  constexpr unsigned kGeneral = wire::kDwarfRegisters - 1;
  const bool set = dwfl_thread_state_registers(thread, 0, kGeneral, access.registers);
  dwfl_thread_state_register_pc(thread, access.registers[kGeneral]);
  return set;
}

template <typename Current>
int add_frame(Dwfl_Frame* frame, void* argument) {
  auto& frames = static_cast<Current*>(argument)->frames;
  Dwarf_Addr code = 0;
  if (!dwfl_frame_pc(frame, &code, nullptr)) return DWARF_CB_ABORT;
  frames.push_back(code);
  return frames.size() < StackWalk::kMaxFrames ? DWARF_CB_OK : DWARF_CB_ABORT;
}

}  // namespace stack_walk

StackWalk::StackWalk(pid_t pid) : current_(std::make_unique<Current>()) {
  static const Dwfl_Callbacks kFiles{dwfl_linux_proc_find_elf, dwfl_standard_find_debuginfo,
                                     nullptr, nullptr};
  static const Dwfl_Thread_Callbacks kThreads{
      stack_walk::next_thread<Current>,   nullptr, stack_walk::read_memory<Current>,
      stack_walk::set_registers<Current>, nullptr, nullptr};
  current_->pid = pid;
  session_ = dwfl_begin(&kFiles);
  const bool ready = session_ != nullptr && dwfl_linux_proc_report(session_, pid) == 0 &&
                     dwfl_report_end(session_, nullptr, nullptr) == 0 &&
                     dwfl_attach_state(session_, nullptr, pid, &kThreads, current_.get());
  if (ready) return;
  dwfl_end(session_);
  session_ = nullptr;
}

StackWalk::~StackWalk() { dwfl_end(session_); }

std::vector<uint64_t> StackWalk::walk(const wire::Access& access) {
  current_->access = &access;
  current_->frames.clear();
  if (session_ != nullptr) {
    // Ends with an error where the copy of the stack ends: what was found is good.
    dwfl_getthread_frames(session_, current_->pid, stack_walk::add_frame<Current>, current_.get());
  }
  if (current_->frames.empty()) {
    current_->frames.push_back(access.registers[wire::kDwarfRegisters - 1]);
  }
  return current_->frames;
}

}  // namespace evenkeel::host
