#pragma once

#include "system/file_tree.hpp"

#include <vmplug/host_facts.hpp>

#include <span>

namespace vmplug {

/// Whether this kernel isolates devices, and the evidence for it. `with_log`: also read the
/// kernel's log, which takes privileges and a few milliseconds.
iommu_evidence read_iommu(const file_tree& files, bool with_log);

/// The states of several modules: the kernel's lists are read once.
std::map<std::string, module_state> read_modules(const file_tree& files,
                                                 std::span<const char* const> names);

/// The options of the kernel's configuration that assignment needs, where /boot or /lib/modules
/// has it; "n" for one that is not set.
std::map<std::string, std::string> read_kernel_options(const file_tree& files);

} // namespace vmplug
