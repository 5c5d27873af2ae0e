#pragma once

#include "port/file_tree.hpp"

#include <vmplug/host_facts.hpp>

namespace vmplug {

/// Whether this kernel isolates devices, and the evidence for it. `with_log`: also read the
/// kernel's log, which takes privileges and a few milliseconds.
iommu_evidence read_iommu(const file_tree& files, bool with_log);

module_state read_module(const file_tree& files, const std::string& name);

} // namespace vmplug
