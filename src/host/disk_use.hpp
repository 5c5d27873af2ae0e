#pragma once

#include "host/function_paths.hpp"
#include "host/mounts.hpp"
#include "system/file_tree.hpp"

#include <vmplug/host_facts.hpp>

#include <map>
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
    disk_uses(const file_tree& files, const function_paths& paths);

    /// Those of one function's `block_devices`.
    std::vector<device_use> uses_of(const pci_function& function) const;

private:
    void add_shared(const pci_function& function, std::vector<device_use>& found) const;
    std::vector<device_use> uses_of_disk(const std::string& disk) const;
    void add_known_uses(const std::string& name, std::vector<device_use>& found) const;
    void ask_kernel(const std::string& disk, std::vector<device_use>& found) const;
    std::optional<std::string> find_elsewhere(const std::set<std::string>& stack) const;

    void collect_stack(const std::string& name, int depth, std::set<std::string>& found) const;
    std::set<std::string> stack_of(const std::string& disk) const;

    const file_tree& files_;
    std::vector<std::string> names_; ///< of all block devices, sorted
    result<std::vector<mount_entry>> mounts_;
    std::map<std::string, std::string> mounted_; ///< number of a device -> mount point
    std::set<std::string> swapped_;              ///< numbers

    /// A file system that the machine around shares (9p).
    struct share {
        std::string tag;
        bool in_use = true; ///< somebody uses its driver
    };
    std::map<host_address, share> shares_;
};

} // namespace vmplug
