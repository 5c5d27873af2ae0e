#pragma once

#include <vmplug/pci_address.hpp>

#include <span>
#include <string>
#include <vector>

namespace vmplug {

/// A host device that QEMU is to have from its start.
struct cold_device {
    host_address device;
    std::string id;
    std::string port; ///< bus of the guest that exists; empty: a new one is made
};

/// What QEMU's command line has to give a guest.
struct cold_start {
    std::string model = "vfio-pci"; ///< or "pci-assign"
    bool express = true;            ///< q35: each device needs a port of its own
    std::vector<cold_device> devices;
    std::size_t free_ports = 2;      ///< for later hot-adds; i440fx needs none
    std::vector<std::string> in_use; ///< names of buses that exist already
};

/// The arguments, in order: "-device", "vfio-pci,host=01:00.0,id=nic0,bus=port0,addr=0x0", ...
std::vector<std::string> cold_start_arguments(const cold_start& wanted);

} // namespace vmplug
