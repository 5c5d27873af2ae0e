#pragma once

#include "system/file_tree.hpp"

#include <vmplug/pci_address.hpp>
#include <vmplug/process_view.hpp>

#include <cstdint>

namespace vmplug {

/// Looks through a process's eyes (/proc/PID/root, its ids, its control group) at what VFIO needs
/// of the device: its place in sysfs, /dev/vfio/vfio and the node of its IOMMU group.
///
/// What the process's user may open the kernel itself is asked, by a child with the same ids: so
/// lists of access rights count too. Its own file systems may hang: the child has a second.
///
/// Source: openat2(2), faccessat2(2), Documentation/admin-guide/cgroup-v1/devices.rst,
/// Documentation/admin-guide/cgroup-v2.rst ("Device controller"), bpf(2) of Linux.
process_view read_process_view(const file_tree& files, std::int32_t pid, const host_address& device,
                               int group);

} // namespace vmplug
