#pragma once
// Character devices that the virtual kernel answers itself: null, zero, full, urandom and random.
// Threads: kernel lock held, but for find_device(). Memory: kernel arena.
#include <cstdint>

#include "runtime/kernel/object.h"

namespace evenkeel::kernel {

enum class DeviceKind : uint32_t { kNone = 0, kNull, kZero, kFull, kRandom };

// By absolute path, as servers spell it; kNone: not one of ours.
[[nodiscard]] DeviceKind find_device(const char* path);
// By st_rdev.
[[nodiscard]] DeviceKind find_device(uint64_t number);
[[nodiscard]] Object* create_device(DeviceKind kind, uint32_t open_flags);
[[nodiscard]] const char* device_path(const Object& object);

}  // namespace evenkeel::kernel
