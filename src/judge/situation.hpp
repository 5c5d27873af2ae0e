#pragma once

#include <vmplug/guest_facts.hpp>
#include <vmplug/host_facts.hpp>
#include <vmplug/operation.hpp>
#include <vmplug/process_view.hpp>

#include <optional>
#include <string>
#include <vector>

namespace vmplug {

/// Everything that judgement and planning look at, read before anything is decided.
struct situation {
    host_facts host;
    guest_facts guest;
    std::optional<qemu_process> qemu;       ///< nothing: the monitor's process is not known
    std::string monitor;                    ///< its address
    std::vector<operation_record> assigned; ///< attaches whose device is still away
    std::vector<operation_record> open;     ///< operations that are not settled
    std::optional<process_view> view = {};  ///< what `qemu` sees of the device, if it was looked at
};

/// The IOMMU group of a function that a record names. One that has left the machine shows none any
/// more: its group is that of its neighbours which were moved together with it, for as long as a
/// record tells of them. Nothing when there is none.
std::optional<int> group_of(const situation& seen, const std::string& device);

/// An operation that is not settled and concerns the device or a neighbour in its IOMMU group;
/// nullptr when there is none.
const operation_record* find_unsettled(const situation& seen, const std::string& device);

} // namespace vmplug
