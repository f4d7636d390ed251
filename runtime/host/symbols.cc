#include "runtime/host/symbols.h"

#include <cxxabi.h>
#include <fcntl.h>
#include <fmt/format.h>
#include <gelf.h>

#include <cstdlib>
#include <memory>
#include <string_view>

#include "runtime/host/fd.h"

namespace evenkeel::host {

std::string demangled(const char* name) {
  int failed = 0;
  const std::unique_ptr<char, void (*)(void*)> text(
      abi::__cxa_demangle(name, nullptr, nullptr, &failed), std::free);
  return failed == 0 ? text.get() : name;
}

namespace {

class ElfFile {
 public:
  explicit ElfFile(const std::string& path) : fd_(::open(path.c_str(), O_RDONLY | O_CLOEXEC)) {
    ::elf_version(EV_CURRENT);
    if (fd_.valid()) elf_ = ::elf_begin(fd_.get(), ELF_C_READ_MMAP, nullptr);
  }
  ~ElfFile() {
    if (elf_ != nullptr) ::elf_end(elf_);
  }
  ElfFile(const ElfFile&) = delete;
  ElfFile& operator=(const ElfFile&) = delete;
  [[nodiscard]] Elf* get() const { return elf_; }

 private:
  Fd fd_;
  Elf* elf_ = nullptr;
};

// Writable data and code may share a file page: the caller knows which of the two he means.
std::optional<uint64_t> virtual_address(Elf* elf, uint64_t file_offset, bool code) {
  size_t count = 0;
  if (::elf_getphdrnum(elf, &count) != 0) return std::nullopt;
  for (size_t i = 0; i < count; ++i) {
    GElf_Phdr segment;
    if (::gelf_getphdr(elf, static_cast<int>(i), &segment) == nullptr) continue;
    if (segment.p_type != PT_LOAD || (segment.p_flags & (code ? PF_X : PF_W)) == 0) continue;
    if (file_offset - segment.p_offset < segment.p_memsz) {
      return file_offset - segment.p_offset + segment.p_vaddr;
    }
  }
  return std::nullopt;
}

// Itanium C++ ABI, 5.1: members of (K: const) ::std, with and without nesting; its abbreviations;
// and libstdc++'s own namespace.
bool is_standard_library(std::string_view mangled) {
  for (const char* prefix : {"_ZNSt", "_ZNKSt", "_ZSt", "_ZNSs", "_ZNKSs", "_ZNSa", "_ZNKSa",
                             "_ZN9__gnu_cxx", "_ZNK9__gnu_cxx"}) {
    if (mangled.starts_with(prefix)) return true;
  }
  return false;
}

std::optional<Symbol> search_table(Elf_Scn* section, const GElf_Shdr& header, Elf* elf,
                                   uint64_t address, bool code) {
  Elf_Data* data = ::elf_getdata(section, nullptr);
  if (data == nullptr || header.sh_entsize == 0) return std::nullopt;
  const auto count = static_cast<int>(header.sh_size / header.sh_entsize);
  for (int i = 0; i < count; ++i) {
    GElf_Sym symbol;
    if (::gelf_getsym(data, i, &symbol) == nullptr) continue;
    if (GELF_ST_TYPE(symbol.st_info) != (code ? STT_FUNC : STT_OBJECT)) continue;
    if (symbol.st_shndx == SHN_UNDEF || address - symbol.st_value >= symbol.st_size) continue;
    const char* name = ::elf_strptr(elf, header.sh_link, symbol.st_name);
    if (name == nullptr) continue;
    return Symbol{demangled(name), address - symbol.st_value, symbol.st_size,
                  is_standard_library(name)};
  }
  return std::nullopt;
}

std::optional<Symbol> search(Elf* elf, uint64_t address, bool code) {
  for (const GElf_Word wanted : {SHT_SYMTAB, SHT_DYNSYM}) {
    Elf_Scn* section = nullptr;
    while ((section = ::elf_nextscn(elf, section)) != nullptr) {
      GElf_Shdr header;
      if (::gelf_getshdr(section, &header) == nullptr || header.sh_type != wanted) continue;
      if (auto found = search_table(section, header, elf, address, code)) return found;
    }
  }
  return std::nullopt;
}

std::string build_id(Elf* elf) {
  Elf_Scn* section = nullptr;
  while ((section = ::elf_nextscn(elf, section)) != nullptr) {
    GElf_Shdr header;
    if (::gelf_getshdr(section, &header) == nullptr || header.sh_type != SHT_NOTE) continue;
    Elf_Data* data = ::elf_getdata(section, nullptr);
    size_t name = 0;
    size_t desc = 0;
    GElf_Nhdr note;
    for (size_t at = 0; data != nullptr && at < data->d_size;) {
      at = ::gelf_getnote(data, at, &note, &name, &desc);
      if (at == 0) break;
      if (note.n_type != NT_GNU_BUILD_ID || note.n_descsz < 2) continue;
      const auto* id = static_cast<const uint8_t*>(data->d_buf) + desc;
      std::string text;
      for (uint32_t i = 0; i < note.n_descsz; ++i) text += fmt::format("{:02x}", id[i]);
      return text;
    }
  }
  return {};
}

// Where distributions put the symbols of stripped files.
std::string debug_file(Elf* elf) {
  const std::string id = build_id(elf);
  if (id.empty()) return {};
  return fmt::format("/usr/lib/debug/.build-id/{}/{}.debug", id.substr(0, 2), id.substr(2));
}

}  // namespace

std::optional<Symbol> find_symbol(const std::string& path, uint64_t file_offset, bool code) {
  const ElfFile file(path);
  if (file.get() == nullptr) return std::nullopt;
  const auto address = virtual_address(file.get(), file_offset, code);
  if (!address) return std::nullopt;
  if (auto found = search(file.get(), *address, code)) return found;
  const ElfFile debug(debug_file(file.get()));
  return debug.get() == nullptr ? std::nullopt : search(debug.get(), *address, code);
}

std::optional<uint64_t> virtual_address(const std::string& path, uint64_t file_offset, bool code) {
  const ElfFile file(path);
  if (file.get() == nullptr) return std::nullopt;
  return virtual_address(file.get(), file_offset, code);
}

std::string build_id(const std::string& path) {
  const ElfFile file(path);
  return file.get() == nullptr ? std::string() : build_id(file.get());
}

}  // namespace evenkeel::host
