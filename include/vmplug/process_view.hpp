#pragma once

#include <optional>
#include <string>
#include <vector>

namespace vmplug {

/// What a QEMU process sees of an assigned device, and what it may open of it: its /dev and /sys
/// need not be ours, and its rights are not.
///
/// Shape: each `optional` is nothing where there was no node to ask about, or where the kernel
/// could not be asked.
struct process_view {
    std::string failure;         ///< why nothing could be looked at; all else has no meaning then
    bool same_nodes = false;     ///< its /dev/vfio is ours: a node that is made here appears there
    bool container_node = false; ///< it has a /dev/vfio/vfio, with the kernel's number
    bool group_node = false;     ///< it has a node of the group, with the kernel's number
    bool stale_node = false;  ///< it has a node of that name whose number is another, or not known
    bool sees_device = false; ///< the device is in its /sys
    bool passes_any_mode = false; ///< CAP_DAC_OVERRIDE: no mode of a node keeps it out
    std::optional<bool> may_open_container;
    std::optional<bool> may_open_group;
    std::string user;        ///< "uid 64055", for a person
    std::string confinement; ///< its label, where a security module enforces one; empty: none does

    /// Who rules over the device nodes that its control group may open.
    enum class device_rule {
        none,    ///< nobody
        allowed, ///< a list, which has them
        denied,  ///< a list, which has not
        unclear, ///< a program, whose answer cannot be known; or it could not be looked at
    };
    device_rule devices = device_rule::none;
    std::string control_group; ///< its path, or what went wrong
};

} // namespace vmplug
