#pragma once

#include "port/file_tree.hpp"

#include <vmplug/host_facts.hpp>

#include <span>

namespace vmplug {

/// Whether this kernel isolates devices, and the evidence for it. `with_log`: also read the
/// kernel's log, which takes privileges and a few milliseconds.
iommu_evidence read_iommu(const file_tree& files, bool with_log);

/// The states of several modules: the kernel's lists are read once.
std::map<std::string, module_state> read_modules(const file_tree& files,
                                                 std::span<const char* const> names);

} // namespace vmplug
