#include "host/read_devices.hpp"

#include <algorithm>
#include <charconv>

namespace vmplug {
namespace {

const std::string devices_path = "/sys/bus/pci/devices/";

std::vector<host_address> addresses_in(const std::string& path) {
    std::vector<host_address> found;
    for (std::size_t begin = 0; begin < path.size();) {
        const auto end = std::min(path.find('/', begin), path.size());
        if (auto address = parse_host_address(std::string_view(path).substr(begin, end - begin)))
            found.push_back(*address);
        begin = end + 1;
    }
    return found;
}

std::optional<host_address> link_to_function(const file_tree& files, const std::string& path) {
    const auto name = files.read_link_name(path);
    if (!name) return std::nullopt;
    auto address = parse_host_address(*name);
    return address.has_value() ? std::optional(*address) : std::nullopt;
}

/// Names of the disks anywhere below the function: nvme/nvme0/nvme0n1, ata1/host0/.../block/sda.
void collect_block_devices(const file_tree& files, const std::string& path, int depth,
                           std::vector<std::string>& found) {
    if (depth == 0) return;
    for (const auto& name : files.list(path)) {
        if (name == "power" || name == "msi_irqs" || files.read_link(path + "/" + name)) continue;
        if (name == "block") {
            for (auto& disk : files.list(path + "/block"))
                found.push_back(std::move(disk));
        } else if (name.starts_with("nvme") && files.exists(path + "/" + name + "/partscan")) {
            found.push_back(name);
        } else if (!parse_host_address(name).has_value()) {
            collect_block_devices(files, path + "/" + name, depth - 1, found);
        }
    }
}

bool may_hold_disks(const pci_function& function) {
    const auto base_class = function.class_code >> 16;
    // Storage, and serial buses (USB).
    return base_class == 0x01 || base_class == 0x0c;
}

pci_function read_function(const file_tree& files, const std::string& name,
                           const host_address& address) {
    const auto path = devices_path + name;
    pci_function function;
    function.address = address;
    function.vendor = static_cast<std::uint16_t>(files.read_number(path + "/vendor").value_or(0));
    function.device = static_cast<std::uint16_t>(files.read_number(path + "/device").value_or(0));
    function.class_code =
        static_cast<std::uint32_t>(files.read_number(path + "/class").value_or(0));
    function.driver = files.read_link_name(path + "/driver").value_or("");
    if (const auto group = files.read_link_name(path + "/iommu_group")) {
        int number = 0;
        std::from_chars(group->data(), group->data() + group->size(), number);
        function.iommu_group = number;
    }
    function.netdevs = files.list(path + "/net");
    // A virtio function keeps its netdev one level lower.
    if (function.vendor == 0x1af4)
        for (const auto& child : files.list(path))
            if (child.starts_with("virtio"))
                for (auto& netdev : files.list(path + "/" + child + "/net"))
                    function.netdevs.push_back(std::move(netdev));
    function.physical_function = link_to_function(files, path + "/physfn");
    if (files.exists(path + "/sriov_numvfs"))
        for (const auto& entry : files.list(path))
            if (entry.starts_with("virtfn"))
                if (auto virtual_function = link_to_function(files, path + "/" + entry))
                    function.virtual_functions.push_back(*virtual_function);
    function.console_display = files.read_line(path + "/boot_vga") == "1";
    function.has_driver_override = files.exists(path + "/driver_override");
    if (may_hold_disks(function)) collect_block_devices(files, path, 8, function.block_devices);
    if (const auto real = files.resolve(path)) {
        function.upstream = addresses_in(*real);
        if (!function.upstream.empty()) function.upstream.pop_back();
    }
    return function;
}

} // namespace

std::vector<pci_function> read_functions(const file_tree& files) {
    std::vector<pci_function> functions;
    for (const auto& name : files.list(devices_path))
        if (const auto address = parse_host_address(name))
            functions.push_back(read_function(files, name, *address));
    return functions;
}

} // namespace vmplug
