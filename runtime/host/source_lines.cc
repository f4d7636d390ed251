#include "runtime/host/source_lines.h"

#include <dwarf.h>
#include <elfutils/libdwfl.h>
#include <fmt/format.h>
#include <gelf.h>

#include <cstdlib>
#include <filesystem>
#include <span>

#include "runtime/host/report.h"
#include "runtime/host/symbols.h"

namespace evenkeel::host {
namespace {

const Dwfl_Callbacks kCallbacks = {
    .find_elf = ::dwfl_build_id_find_elf,
    .find_debuginfo = ::dwfl_standard_find_debuginfo,
    .section_address = ::dwfl_offline_section_address,
    .debuginfo_path = nullptr,  // the standard places
};

std::string function_name(Dwarf_Die* die) {
  Dwarf_Attribute attribute;
  for (const unsigned name : {DW_AT_linkage_name, DW_AT_MIPS_linkage_name}) {
    if (::dwarf_attr_integrate(die, name, &attribute) == nullptr) continue;
    if (const char* text = ::dwarf_formstring(&attribute); text != nullptr) return demangled(text);
  }
  const char* text = ::dwarf_diename(die);
  return text == nullptr ? "" : text;
}

// Compilers name files as they were told to, which can be relative to where they ran.
std::string absolute(const char* file, const char* directory) {
  const std::filesystem::path path(file);
  if (path.is_absolute() || directory == nullptr) return file;
  return (std::filesystem::path(directory) / path).lexically_normal().string();
}

const char* directory_of(Dwarf_Die* unit) {
  Dwarf_Attribute attribute;
  if (::dwarf_attr(unit, DW_AT_comp_dir, &attribute) == nullptr) return nullptr;
  return ::dwarf_formstring(&attribute);
}

// Where an inlined function was called from.
void set_call(Dwarf_Die* inlined, Dwarf_Die* unit, record::Location& location) {
  const auto number = [&](unsigned name) -> Dwarf_Word {
    Dwarf_Attribute attribute;
    Dwarf_Word value = 0;
    if (::dwarf_attr(inlined, name, &attribute) == nullptr) return 0;
    return ::dwarf_formudata(&attribute, &value) == 0 ? value : 0;
  };
  Dwarf_Files* files = nullptr;
  size_t count = 0;
  if (::dwarf_getsrcfiles(unit, &files, &count) == 0) {
    const char* file = ::dwarf_filesrc(files, number(DW_AT_call_file), nullptr, nullptr);
    if (file != nullptr) location.set_file(absolute(file, directory_of(unit)));
  }
  location.set_line(static_cast<uint32_t>(number(DW_AT_call_line)));
  location.set_column(static_cast<uint32_t>(number(DW_AT_call_column)));
}

// The line table knows the innermost place; each inlined function knows where it was called.
void add_scopes(record::Frame& frame, std::span<Dwarf_Die> scopes, Dwarf_Die* unit,
                record::Location location) {
  for (Dwarf_Die& scope : scopes) {
    const int tag = ::dwarf_tag(&scope);
    if (tag != DW_TAG_inlined_subroutine && tag != DW_TAG_subprogram) continue;
    location.set_function(function_name(&scope));
    *frame.add_locations() = location;
    if (tag == DW_TAG_subprogram) return;
    location.Clear();
    set_call(&scope, unit, location);
  }
}

record::Location line_of(Dwfl_Module* module, Dwarf_Addr address) {
  record::Location location;
  Dwfl_Line* line = ::dwfl_module_getsrc(module, address);
  if (line == nullptr) return location;
  int number = 0;
  int column = 0;
  const char* file = ::dwfl_lineinfo(line, nullptr, &number, &column, nullptr, nullptr);
  if (file == nullptr) return location;
  location.set_file(absolute(file, ::dwfl_line_comp_dir(line)));
  location.set_line(static_cast<uint32_t>(number));
  location.set_column(static_cast<uint32_t>(column));
  return location;
}

}  // namespace

SourceLines::SourceLines() {
  // A server that is far away must not hold up a report for a minute and a half per file.
  ::setenv("DEBUGINFOD_TIMEOUT", "10", 0);
}

const SourceLines::Module& SourceLines::open(const std::string& path, const std::string& id) {
  const auto known = modules_.find(path + id);
  if (known != modules_.end()) return known->second;
  Module opened{{::dwfl_begin(&kCallbacks), ::dwfl_end}, nullptr};
  // Another build would give wrong lines.
  if (opened.session != nullptr && build_id(path) == id && !id.empty()) {
    opened.module = ::dwfl_report_offline(opened.session.get(), "", path.c_str(), -1);
    ::dwfl_report_end(opened.session.get(), nullptr, nullptr);
  }
  return modules_.emplace(path + id, std::move(opened)).first->second;
}

void SourceLines::resolve(record::Frame& frame) {
  frame.clear_locations();
  if (frame.module().empty() || frame.module_address() == 0) return;
  const Module& opened = open(frame.module(), frame.build_id());
  GElf_Addr bias = 0;
  if (opened.module == nullptr || ::dwfl_module_getelf(opened.module, &bias) == nullptr) return;
  const Dwarf_Addr address = frame.module_address() + bias;
  const record::Location line = line_of(opened.module, address);
  Dwarf_Addr unit_bias = 0;
  Dwarf_Die* unit = ::dwfl_module_addrdie(opened.module, address, &unit_bias);
  Dwarf_Die* scopes = nullptr;
  int count = unit == nullptr ? 0 : ::dwarf_getscopes(unit, address - unit_bias, &scopes);
  if (count > 0) {
    // Of an inlined function these are the scopes of its definition; wanted are those of the call.
    Dwarf_Die innermost = scopes[0];
    std::free(scopes);
    scopes = nullptr;
    count = ::dwarf_getscopes_die(&innermost, &scopes);
  }
  if (count > 0) add_scopes(frame, {scopes, static_cast<size_t>(count)}, unit, line);
  std::free(scopes);
  if (frame.locations_size() != 0 || line.file().empty()) return;
  *frame.add_locations() = line;
  frame.mutable_locations(0)->set_function(frame.symbol());
}

void SourceLines::resolve(record::Stack& stack) {
  for (record::Frame& frame : *stack.mutable_frames()) resolve(frame);
}

void SourceLines::resolve(record::Report& report) {
  for (record::Replica& replica : *report.mutable_replicas()) {
    if (replica.has_fault()) resolve(*replica.mutable_fault()->mutable_code());
  }
  for (record::Difference& difference : *report.mutable_differences()) {
    resolve(*difference.mutable_object()->mutable_allocation());
  }
  for (record::Interleaving& i : *report.mutable_interleavings()) {
    for (record::Frame* site : {i.mutable_before(), i.mutable_between(), i.mutable_after()}) {
      resolve(*site);
    }
  }
  for (record::Thread& thread : *report.mutable_threads()) {
    resolve(*thread.mutable_stack());
    for (record::Operation& operation : *thread.mutable_operations()) {
      if (operation.has_site()) resolve(*operation.mutable_site());
    }
  }
  if (!report.has_diagnosis()) return;
  record::Diagnosis& diagnosis = *report.mutable_diagnosis();
  if (diagnosis.has_first_site()) resolve(*diagnosis.mutable_first_site());
  if (diagnosis.has_second_site()) resolve(*diagnosis.mutable_second_site());
  for (record::Write& write : *diagnosis.mutable_writes()) {
    if (write.has_code()) resolve(*write.mutable_code());
    resolve(*write.mutable_stack());
  }
}

std::string line_text(const record::Location& location) {
  if (location.file().empty()) return "";
  return location.line() == 0 ? location.file()
                              : fmt::format("{}:{}", location.file(), location.line());
}

std::string frame_text(const record::Frame& frame, const record::Location& location) {
  const std::string& function = location.function();
  return fmt::format("{}  {}", function.empty() ? code_text(frame) : function, line_text(location));
}

const record::Location& meant_location(const record::Frame& frame) {
  for (const record::Location& location : frame.locations()) {
    const std::string& file = location.file();
    if (!file.starts_with("/usr/include/") && !file.starts_with("/usr/lib/")) return location;
  }
  return frame.locations(0);
}

std::string frame_text(const record::Frame& frame) {
  if (frame.locations_size() != 0) return frame_text(frame, meant_location(frame));
  const std::string code = code_text(frame);
  if (!frame.symbol().empty() || frame.module_address() == 0) return code;
  return fmt::format("{}  [addr2line -Cfie {} {:#x}]", code, frame.module(),
                     frame.module_address());
}

}  // namespace evenkeel::host
