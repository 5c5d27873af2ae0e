#include "host/read_devices.hpp"

#include <algorithm>
#include <charconv>

namespace vmplug {
namespace {

const std::string devices_path = "/sys/bus/pci/devices/";
/// Of the group that VFIO makes for a device without an IOMMU.
const std::string no_iommu_group_name = "vfio-noiommu";
constexpr std::size_t header_type_offset = 0x0e;
constexpr unsigned header_type_mask = 0x7f;

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

/// Whether the kernel sees a header of type 1 or 2: it shows the bus behind it for those alone.
/// Kernels before 4.13 do not, and a bridge whose bus was never numbered may not have it either, so
/// of class 06 the header itself is asked. Of other classes it is not: reading it would wake a
/// suspended device.
bool reads_as_bridge(const file_tree& files, const std::string& path, std::uint32_t class_code) {
    if (files.exists(path + "/secondary_bus_number")) return true;
    if (class_code >> 16 != 0x06) return false;
    const auto configuration = files.read_or_empty(path + "/config");
    // What cannot be read is left alone, as a bridge is.
    if (configuration.size() <= header_type_offset) return true;
    const auto type = static_cast<unsigned char>(configuration[header_type_offset]);
    return type != 0xff && (type & header_type_mask) != 0;
}

/// `digits` hexadecimal digits at `position`.
std::optional<std::uint32_t> number_at(std::string_view text, std::size_t position,
                                       std::size_t digits) {
    std::uint32_t value = 0;
    if (text.size() < position + digits) return std::nullopt;
    const auto* begin = text.data() + position;
    const auto [end, failure] = std::from_chars(begin, begin + digits, value, 16);
    return failure == std::errc() && end == begin + digits ? std::optional(value) : std::nullopt;
}

/// "pci:v00008086d000010D3sv00001AF4sd00001100bc02sc00i00": one file has all three, and thousands
/// of functions are read.
bool read_alias(const file_tree& files, const std::string& path, pci_function& function) {
    const auto alias = files.read_line(path + "/modalias");
    const auto vendor = number_at(alias, 5, 8);
    const auto device = number_at(alias, 14, 8);
    const auto base = number_at(alias, 44, 2);
    const auto sub = number_at(alias, 48, 2);
    const auto interface = number_at(alias, 51, 2);
    if (!alias.starts_with("pci:v") || !vendor || !device || !base || !sub || !interface)
        return false;
    function.vendor = static_cast<std::uint16_t>(*vendor);
    function.device = static_cast<std::uint16_t>(*device);
    function.class_code = *base << 16 | *sub << 8 | *interface;
    return true;
}

void read_ids(const file_tree& files, const std::string& path, pci_function& function) {
    if (read_alias(files, path, function)) return;
    const auto number = [&](const char* name) {
        return files.read_number(path + name).value_or(0);
    };
    function.vendor = static_cast<std::uint16_t>(number("/vendor"));
    function.device = static_cast<std::uint16_t>(number("/device"));
    function.class_code = static_cast<std::uint32_t>(number("/class"));
}

void read_group(const file_tree& files, const std::string& path, pci_function& function) {
    const auto group = files.read_link_name(path + "/iommu_group");
    if (!group) return;
    int number = 0;
    std::from_chars(group->data(), group->data() + group->size(), number);
    function.iommu_group = number;
    // Such a group is there as long as a VFIO driver has the function.
    function.no_iommu = is_assignment_driver(function.driver) &&
                        files.read_line(path + "/iommu_group/name") == no_iommu_group_name;
}

void read_virtual_functions(const file_tree& files, const std::string& path,
                            pci_function& function) {
    if (!files.exists(path + "/sriov_numvfs")) return;
    for (const auto& entry : files.list(path))
        if (entry.starts_with("virtfn"))
            if (auto virtual_function = link_to_function(files, path + "/" + entry))
                function.virtual_functions.push_back(*virtual_function);
}

pci_function read_function(const file_tree& files, const std::string& name,
                           const host_address& address) {
    const auto real = follow_sysfs_link(files, devices_path + name);
    // Without the link in between each look costs less.
    const auto path = real ? *real : devices_path + name;
    pci_function function;
    function.address = address;
    read_ids(files, path, function);
    function.driver = files.read_link_name(path + "/driver").value_or("");
    read_group(files, path, function);
    read_virtual_functions(files, path, function);
    function.console_display = function.is_display() && files.read_line(path + "/boot_vga") == "1";
    if (real) {
        function.upstream = addresses_in(*real);
        if (!function.upstream.empty()) function.upstream.pop_back();
    }
    return function;
}

pci_function* find(std::vector<pci_function>& functions, const host_address& address) {
    const auto found = std::ranges::lower_bound(functions, address, {}, &pci_function::address);
    return found == functions.end() || found->address != address ? nullptr : &*found;
}

/// The kernel shows both ends; one of them is enough.
void place_virtual_functions(std::vector<pci_function>& functions) {
    for (const auto& function : functions)
        for (const auto& address : function.virtual_functions)
            if (auto* virtual_function = find(functions, address))
                virtual_function->physical_function = function.address;
}

/// A virtual function has a header of type 0 by specification.
void read_header_types(const file_tree& files, std::vector<pci_function>& functions) {
    for (auto& function : functions) {
        if (function.physical_function) continue;
        const auto name = devices_path + format_address(function.address);
        const auto path = follow_sysfs_link(files, name).value_or(name);
        function.is_bridge_type = reads_as_bridge(files, path, function.class_code);
    }
}

/// The kernel has driver_override for all functions, or is older than 3.16 and has it for none.
void read_override_ability(const file_tree& files, std::vector<pci_function>& functions) {
    if (functions.empty()) return;
    const auto first = devices_path + format_address(functions.front().address);
    const bool has = files.exists(first + "/driver_override");
    for (auto& function : functions)
        function.has_driver_override = has;
}

/// A block device of no bus at all may stand on one: the head of an NVMe namespace with several
/// paths hangs on a subsystem that links to its controllers.
std::vector<host_address> owners_through_links(const file_tree& files, const function_paths& paths,
                                               const std::string& device) {
    std::vector<host_address> owners;
    const auto parent = device.substr(0, device.rfind('/'));
    for (const auto& entry : files.list(parent))
        if (const auto target = follow_sysfs_link(files, parent + "/" + entry))
            if (const auto owner = paths.owner_of(*target)) owners.push_back(*owner);
    return owners;
}

bool is_partition(const file_tree& files, const std::string& name) {
    return files.exists("/sys/class/block/" + name + "/partition");
}

void place_disks(const file_tree& files, const function_paths& paths,
                 std::vector<pci_function>& functions) {
    for (const auto& name : files.list("/sys/class/block")) {
        const auto device = follow_sysfs_link(files, "/sys/class/block/" + name);
        if (!device) continue;
        std::vector<host_address> owners;
        if (const auto owner = paths.owner_of(*device))
            owners.push_back(*owner);
        else if (!device->starts_with("/sys/devices/virtual/block/"))
            owners = owners_through_links(files, paths, *device);
        if (owners.empty() || is_partition(files, name)) continue;
        for (const auto& owner : owners)
            find(functions, owner)->block_devices.push_back(name);
    }
}

void place_netdevs(const file_tree& files, const function_paths& paths,
                   std::vector<pci_function>& functions) {
    for (const auto& name : files.list("/sys/class/net"))
        if (const auto device = follow_sysfs_link(files, "/sys/class/net/" + name))
            if (const auto owner = paths.owner_of(*device))
                find(functions, *owner)->netdevs.push_back(name);
}

} // namespace

std::vector<pci_function> read_functions(const file_tree& files) {
    std::vector<pci_function> functions;
    for (const auto& name : files.list(devices_path))
        if (const auto address = parse_host_address(name))
            functions.push_back(read_function(files, name, *address));
    std::ranges::sort(functions, {}, &pci_function::address);
    read_override_ability(files, functions);
    place_virtual_functions(functions);
    read_header_types(files, functions);
    const auto paths = paths_of(functions);
    place_disks(files, paths, functions);
    place_netdevs(files, paths, functions);
    return functions;
}

function_paths paths_of(const std::vector<pci_function>& functions) {
    std::set<host_address> known;
    for (const auto& function : functions)
        known.insert(known.end(), function.address);
    return function_paths(std::move(known));
}

} // namespace vmplug
