#include <vmplug/host_facts.hpp>

#include <algorithm>
#include <charconv>

namespace vmplug {
namespace {

std::optional<std::uint32_t> parse_hexadecimal(std::string_view text) {
    std::uint32_t value = 0;
    const auto [end, failure] = std::from_chars(text.data(), text.data() + text.size(), value, 16);
    if (text.size() != 4 || failure != std::errc() || end != text.data() + 4) return std::nullopt;
    return value;
}

bool has_netdev(const pci_function& function, std::string_view name) {
    return std::ranges::find(function.netdevs, name) != function.netdevs.end() ||
           std::ranges::find(function.alternative_names, name) != function.alternative_names.end();
}

error no_device(const host_facts& host, std::string_view text) {
    std::vector<std::string> names;
    for (const auto& function : host.functions) {
        names.insert(names.end(), function.netdevs.begin(), function.netdevs.end());
        names.push_back(format_address_short(function.address));
    }
    return {error_code::device_not_found,
            std::string(text.substr(0, 100)),
            "this host has no such PCI function" + did_you_mean(text, names),
            {},
            advice::list_devices};
}

std::string list_addresses(const std::vector<host_address>& addresses) {
    std::string text;
    for (const auto& each : addresses)
        text += (text.empty() ? "" : ", ") + format_address(each);
    return text;
}

result<host_address> only_one(const host_facts& host, const std::vector<host_address>& found,
                              std::string_view text) {
    if (found.size() == 1) return found.front();
    if (found.empty()) return no_device(host, text);
    return error{error_code::device_ambiguous, std::string(text),
                 "several functions are meant: " + list_addresses(found),
                 "name one by its address"};
}

} // namespace

const pci_function* host_facts::find(const host_address& address) const {
    const auto found = std::ranges::find(functions, address, &pci_function::address);
    return found == functions.end() ? nullptr : &*found;
}

std::vector<const pci_function*> host_facts::group_members(int group) const {
    std::vector<const pci_function*> members;
    for (const auto& function : functions)
        if (function.iommu_group == group) members.push_back(&function);
    return members;
}

std::vector<const pci_function*> find_bridge_mates(const host_facts& host,
                                                   const pci_function& function) {
    std::vector<const pci_function*> mates;
    if (function.upstream.empty()) return mates;
    const auto& bridge = function.upstream.back();
    for (const auto& other : host.functions)
        if (other.address != function.address && !other.is_bridge() &&
            std::ranges::find(other.upstream, bridge) != other.upstream.end())
            mates.push_back(&other);
    return mates;
}

std::string describe_shared_interrupt(const function_abilities& abilities) {
    std::string others;
    for (const auto& each : abilities.interrupt_sharers)
        others += (others.empty() ? "" : ", ") + each;
    return "it has no MSI and shares interrupt line " + std::to_string(abilities.interrupt_line) +
           " with " + others;
}

bool is_assignment_driver(std::string_view driver) {
    // vfio-pci and its variants (mlx5-vfio-pci, vfio-pci-nvgrace ...).
    return driver == "pci-stub" || driver.find("vfio") != std::string_view::npos;
}

std::vector<group_verdict> judge_group(const host_facts& host, const pci_function& function) {
    std::vector<group_verdict> verdicts;
    if (!function.iommu_group) return verdicts;
    for (const auto* member : host.group_members(*function.iommu_group)) {
        if (member->address == function.address) continue;
        group_verdict verdict{member->address, member->driver, true, {}};
        if (member->is_bridge() || member->driver == "pcieport")
            verdict.reason = "a bridge: VFIO leaves it alone";
        else if (member->driver.empty())
            verdict.reason = "it has no driver";
        else if (is_assignment_driver(member->driver))
            verdict.reason = "it is on " + member->driver;
        else {
            verdict.viable = false;
            verdict.reason = "it is on the host driver " + member->driver;
        }
        verdicts.push_back(std::move(verdict));
    }
    return verdicts;
}

result<host_address> find_device(const host_facts& host, std::string_view text) {
    if (const auto address = parse_host_address(text)) {
        if (host.find(*address)) return *address;
        return no_device(host, text);
    }
    std::vector<host_address> found;
    for (const auto& function : host.functions)
        if (has_netdev(function, text)) found.push_back(function.address);
    if (!found.empty()) return only_one(host, found, text);
    const auto colon = text.find(':');
    const auto vendor = parse_hexadecimal(text.substr(0, std::min(colon, text.size())));
    const auto device =
        colon == text.npos ? std::nullopt : parse_hexadecimal(text.substr(colon + 1));
    if (!vendor || !device) {
        // Something that was meant as an address gets the reason why it is none.
        if (colon != text.npos) return parse_host_address(text).error();
        return no_device(host, text);
    }
    for (const auto& function : host.functions)
        if (function.vendor == *vendor && function.device == *device)
            found.push_back(function.address);
    return only_one(host, found, text);
}

} // namespace vmplug
