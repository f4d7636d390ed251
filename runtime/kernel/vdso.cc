#include "runtime/kernel/vdso.h"

#include <elf.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <time.h>

#include <cstring>

#include "runtime/core/check.h"
#include "runtime/core/layout.h"
#include "runtime/kernel/kernel.h"

namespace evenkeel::kernel {
namespace {

// ---- what takes the place of the vDSO's functions; results as the kernel's, -errno included

long clock_gettime_entry(int clock, void* time) { return call(SYS_clock_gettime, clock, time); }
long clock_getres_entry(int clock, void* time) { return call(SYS_clock_getres, clock, time); }
long gettimeofday_entry(void* time, void* zone) { return call(SYS_gettimeofday, time, zone); }
long time_entry(void* out) { return call(SYS_time, out); }
long getcpu_entry(void* cpu, void* node, void*) { return call(SYS_getcpu, cpu, node, 0); }

// Linux 6.11. Asked how large its state is to be (size ~0), it declines: the C library then makes
// the system call. Who has asked before we came gets his random bytes from there as well.
long getrandom_entry(void* buffer, size_t bytes, unsigned flags, void*, size_t state_bytes) {
  if (state_bytes == SIZE_MAX) return -ENOSYS;
  return call(SYS_getrandom, buffer, bytes, flags);
}

struct Replacement {
  const char* name;
  void* function;
};

// ---- the vDSO as an ELF image

struct Image {
  uint64_t base;   // of the mapping
  uint64_t bytes;  // of the mapping
  uint64_t bias;   // added to the addresses in the file
  const Elf64_Sym* symbols;
  uint32_t symbol_count;
  const char* names;
};

template <typename T>
const T* at(uint64_t address) {
  return reinterpret_cast<const T*>(address);
}

const Elf64_Phdr* find_segment(const Elf64_Ehdr& header, uint32_t type) {
  const auto* segments = at<Elf64_Phdr>(reinterpret_cast<uint64_t>(&header) + header.e_phoff);
  for (int i = 0; i < header.e_phnum; ++i) {
    if (segments[i].p_type == type) return &segments[i];
  }
  return nullptr;
}

// Symbols in a DT_GNU_HASH table: those before the first hashed one, and the hashed ones up to the
// last in the highest chain.
uint32_t count_by_gnu_hash(const uint32_t* table) {
  const uint32_t buckets = table[0];
  const uint32_t first = table[1];
  const uint32_t* bucket = table + 4 + 2 * table[2];  // after 64-bit bloom words
  const uint32_t* chain = bucket + buckets;
  uint32_t last = 0;
  for (uint32_t i = 0; i < buckets; ++i) last = bucket[i] > last ? bucket[i] : last;
  if (last < first) return first;
  while ((chain[last - first] & 1) == 0) ++last;
  return last + 1;
}

bool parse(uint64_t elf_header, Image& image) {
  const auto& header = *at<Elf64_Ehdr>(elf_header);
  if (std::memcmp(header.e_ident, ELFMAG, SELFMAG) != 0) return false;
  const Elf64_Phdr* load = find_segment(header, PT_LOAD);
  const Elf64_Phdr* dynamic = find_segment(header, PT_DYNAMIC);
  if (load == nullptr || dynamic == nullptr) return false;
  const uint64_t sections_end = header.e_shoff + uint64_t{header.e_shnum} * header.e_shentsize;
  const uint64_t load_end = load->p_offset + load->p_memsz;
  image = {};
  image.base = elf_header;
  image.bytes = page_ceil(sections_end > load_end ? sections_end : load_end);
  image.bias = elf_header + load->p_offset - load->p_vaddr;
  for (const auto* d = at<Elf64_Dyn>(elf_header + dynamic->p_offset); d->d_tag != DT_NULL; ++d) {
    const uint64_t address = image.bias + d->d_un.d_ptr;
    if (d->d_tag == DT_SYMTAB) image.symbols = at<Elf64_Sym>(address);
    if (d->d_tag == DT_STRTAB) image.names = at<char>(address);
    if (d->d_tag == DT_HASH) image.symbol_count = at<uint32_t>(address)[1];
    if (d->d_tag == DT_GNU_HASH && image.symbol_count == 0) {
      image.symbol_count = count_by_gnu_hash(at<uint32_t>(address));
    }
  }
  return image.symbols != nullptr && image.names != nullptr;
}

bool equal(const char* a, const char* b) {
  while (*a == *b && *a != '\0') ++a, ++b;
  return *a == *b;
}

const Elf64_Sym* find_function(const Image& image, const char* name) {
  for (uint32_t i = 0; i < image.symbol_count; ++i) {
    const Elf64_Sym& symbol = image.symbols[i];
    const bool defined = symbol.st_shndx != SHN_UNDEF && symbol.st_value != 0;
    if (defined && equal(image.names + symbol.st_name, name)) return &symbol;
  }
  return nullptr;
}

// ---- writing code

struct Jump {
  uint8_t bytes[12];
};

// mov $target, %rax; jmp *%rax. A function may destroy rax at its entry.
Jump jump_to(const void* target) {
  Jump jump{{0x48, 0xb8, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xe0}};
  std::memcpy(jump.bytes + 2, &target, sizeof target);
  return jump;
}

// The whole mapping at once: it is a special one, which the kernel refuses to split (EINVAL).
sys::Result protect(const Image& image, int protection) {
  return sys::mprotect(reinterpret_cast<void*>(image.base), image.bytes, protection);
}

sys::Result write_by_memory_file(uint64_t address, const Jump& jump) {
  const auto opened = sys::open("/proc/self/mem", O_RDWR | O_CLOEXEC);
  if (!opened.ok()) return opened;
  const auto written = sys::call(SYS_pwrite64, opened.value(), sys::arg(&jump), sizeof jump,
                                 static_cast<long>(address));
  sys::close(static_cast<int>(opened.value())).ignore();
  return written;
}

sys::Result write_code(uint64_t address, const Jump& jump, CodeWriter writer) {
  if (writer == CodeWriter::kMemoryFile) return write_by_memory_file(address, jump);
  std::memcpy(reinterpret_cast<void*>(address), &jump, sizeof jump);
  return sys::Result(0);
}

// What the vDSO does not have needs no replacement. Returns how many it had.
sys::Result replace_all(const Image& image, const Replacement* replacements, size_t count,
                        CodeWriter writer) {
  long replaced = 0;
  for (size_t i = 0; i < count; ++i) {
    const Elf64_Sym* symbol = find_function(image, replacements[i].name);
    if (symbol == nullptr) continue;
    EVENKEEL_CHECK(symbol->st_size >= sizeof(Jump));
    const auto written =
        write_code(image.bias + symbol->st_value, jump_to(replacements[i].function), writer);
    if (!written.ok()) return written;
    ++replaced;
  }
  return sys::Result(replaced);
}

template <typename F>
void* code(F* function) {
  return reinterpret_cast<void*>(function);
}

}  // namespace

uint64_t find_vdso() {
  const auto opened = sys::open("/proc/self/auxv", O_RDONLY | O_CLOEXEC);
  // Taking it for absent would leave the kernel's own clock in force, in this replica only.
  if (!opened.ok()) EVENKEEL_DIE("cannot open /proc/self/auxv", "errno", opened.err());
  const int fd = static_cast<int>(opened.value());
  Elf64_auxv_t entry = {};
  uint64_t found = 0;
  for (;;) {
    const auto got = sys::read(fd, &entry, sizeof entry);
    if (!got.ok()) EVENKEEL_DIE("cannot read /proc/self/auxv", "errno", got.err());
    if (got.value() != sizeof entry || entry.a_type == AT_NULL) break;
    if (entry.a_type == AT_SYSINFO_EHDR) found = entry.a_un.a_val;
  }
  sys::close(fd).ignore();
  return found;
}

sys::Result patch_vdso_at(uint64_t elf_header, CodeWriter writer) {
  Image image;
  if (!parse(elf_header, image)) return sys::Result(-ENOEXEC);
  const Replacement replacements[] = {
      {"__vdso_clock_gettime", code(clock_gettime_entry)},
      {"__vdso_clock_getres", code(clock_getres_entry)},
      {"__vdso_gettimeofday", code(gettimeofday_entry)},
      {"__vdso_time", code(time_entry)},
      {"__vdso_getcpu", code(getcpu_entry)},
      {"__vdso_getrandom", code(getrandom_entry)},
  };
  constexpr size_t kCount = sizeof replacements / sizeof *replacements;
  if (writer == CodeWriter::kMemoryFile) return replace_all(image, replacements, kCount, writer);
  const auto opened = protect(image, PROT_READ | PROT_WRITE | PROT_EXEC);
  if (!opened.ok()) return opened;
  const auto replaced = replace_all(image, replacements, kCount, writer);
  const auto closed = protect(image, PROT_READ | PROT_EXEC);
  return closed.ok() ? replaced : closed;
}

sys::Result patch_vdso() {
  const uint64_t header = find_vdso();
  if (header == 0) return sys::Result(0);
  const auto patched = patch_vdso_at(header, CodeWriter::kMprotect);
  return patched.ok() ? patched : patch_vdso_at(header, CodeWriter::kMemoryFile);
}

}  // namespace evenkeel::kernel
