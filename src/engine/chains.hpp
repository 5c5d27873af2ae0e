#pragma once

#include <vmplug/host_facts.hpp>
#include <vmplug/operation.hpp>

#include <vector>

namespace vmplug {

/// Operations that can be settled side by side: those of one device, or of one IOMMU group, are one
/// chain, in the order in which they are given. Two of one guest are not: they have their turns.
///
/// Shape: indices into `records`; each stands in exactly one chain.
std::vector<std::vector<std::size_t>> find_chains(const std::vector<operation_record>& records,
                                                  const host_facts& known);

} // namespace vmplug
