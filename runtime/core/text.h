#pragma once
// Text without malloc, stdio, locale or locks: usable before libc is ready and in signal handlers.
#include <concepts>
#include <cstddef>
#include <cstdint>

namespace evenkeel {

void write_all(int fd, const char* data, size_t bytes);  // raw write(2), retried; keeps errno

// Bounded text on the caller's stack. Longer text is cut and ends in "...": a message never fails.
template <size_t kBytes>
class Text {
  static_assert(kBytes >= 32);

 public:
  Text& add(const char* text) {
    for (; *text != '\0'; ++text) put(*text);
    return *this;
  }
  template <std::unsigned_integral U>
  Text& add(U value) {
    return digits(value, 10);
  }
  template <std::signed_integral I>
  Text& add(I value) {
    if (value < 0) put('-');
    const auto bits = static_cast<uint64_t>(value);
    return digits(value < 0 ? 0 - bits : bits, 10);
  }
  Text& hex(uint64_t value) { return add("0x").digits(value, 16); }
  void write_to(int fd) const { write_all(fd, buffer_, size_); }
  [[nodiscard]] const char* c_str() const { return buffer_; }
  [[nodiscard]] size_t size() const { return size_; }

 private:
  static constexpr size_t kRoom = kBytes - 4;  // what is left holds "..." and the final zero

  Text& digits(uint64_t value, unsigned base) {
    char reversed[20];
    size_t count = 0;
    do {
      reversed[count++] = "0123456789abcdef"[value % base];
      value /= base;
    } while (value != 0);
    while (count != 0) put(reversed[--count]);
    return *this;
  }
  void put(char c) {
    if (size_ < kRoom) {
      buffer_[size_++] = c;
    } else if (size_ == kRoom) {
      // Constant places: equal code for two sizes would be folded, and g++ 12 then warns.
      for (size_t i = 0; i < 3; ++i) buffer_[kRoom + i] = '.';
      size_ = kRoom + 3;
    }
  }

  size_t size_ = 0;
  char buffer_[kBytes] = {};
};

}  // namespace evenkeel
