#pragma once

#include "host/mounts.hpp"
#include "port/file_tree.hpp"

#include <vmplug/host_facts.hpp>

#include <optional>
#include <set>
#include <string>
#include <vector>

namespace vmplug {

/// Who has the disks of functions.
///
/// What is mounted or swapped to is named from the kernel's tables. Whatever they do not explain is
/// asked of the kernel, which refuses an exclusive open of what anything has for itself: a file
/// system in another mount namespace, one without a device number of its own (btrfs, ZFS), RAID,
/// LVM.
class disk_uses {
public:
    explicit disk_uses(const file_tree& files);

    /// Those of one function's `block_devices`.
    std::vector<device_use> uses_of(const pci_function& function) const;

private:
    std::vector<device_use> uses_of_disk(const std::string& disk) const;
    void add_known_uses(const std::string& name, std::vector<device_use>& found) const;
    void ask_kernel(const std::string& disk, std::vector<device_use>& found) const;
    std::optional<std::string> find_elsewhere(const std::set<std::string>& stack) const;
    bool is_mount_of(const mount_entry& mount, const std::string& number) const;

    const file_tree& files_;
    result<std::vector<mount_entry>> mounts_;
    std::string swaps_;
};

} // namespace vmplug
