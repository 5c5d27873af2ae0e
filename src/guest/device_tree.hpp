#pragma once

#include <map>
#include <string>
#include <string_view>
#include <vector>

namespace vmplug {

/// A device in the output of HMP's `info qtree` or `info pci`.
struct tree_device {
    std::string type;
    std::string qdev_id;                           ///< empty: it has none
    std::string bus;                               ///< the bus that it sits on
    std::map<std::string, std::string> properties; ///< without the quotes
    bool configured = false;                       ///< one of its BARs has an address
};

/// Reads `info qtree`, of QEMU 0.12 to today.
///
/// Shape: in the order of the text, at most `devices_max`. Lines of another form are skipped: the
/// text is untrusted.
struct device_tree {
    static constexpr std::size_t devices_max = 4096;

    std::vector<tree_device> devices;

    const tree_device* find(std::string_view qdev_id) const;
    bool has_type(std::string_view type) const;
};

device_tree parse_device_tree(std::string_view text);

/// Reads `info pci`, for monitors that know no `info qtree`: ids, and whether the BARs have
/// addresses. The host bridge stands for the machine, as in a device tree.
device_tree parse_pci_list(std::string_view text);

} // namespace vmplug
