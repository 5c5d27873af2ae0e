#include "host/read_host.hpp"

#include <algorithm>

namespace vmplug {
namespace {

constexpr std::size_t status_offset = 0x06;
constexpr std::size_t capabilities_offset = 0x34;
constexpr std::size_t interrupt_pin_offset = 0x3d;
constexpr unsigned capability_list_bit = 0x10;
constexpr unsigned capability_msi = 0x05;
constexpr unsigned capability_express = 0x10;
constexpr unsigned capability_msix = 0x11;

unsigned byte_at(const std::string& configuration, std::size_t offset) {
    return offset < configuration.size() ? static_cast<unsigned char>(configuration[offset]) : 0U;
}

void read_capabilities(const std::string& configuration, function_abilities& found) {
    if ((byte_at(configuration, status_offset) & capability_list_bit) == 0) return;
    auto position = byte_at(configuration, capabilities_offset) & ~3U;
    // A damaged list may be a ring.
    for (int hops = 0; position >= 0x40 && hops < 48; ++hops) {
        const auto capability = byte_at(configuration, position);
        found.msi = found.msi || capability == capability_msi;
        found.msix = found.msix || capability == capability_msix;
        found.express = found.express || capability == capability_express;
        position = byte_at(configuration, position + 1) & ~3U;
    }
}

std::string function_path(const host_address& address) {
    return "/sys/bus/pci/devices/" + format_address(address);
}

int read_line_number(const file_tree& files, const host_address& address) {
    return static_cast<int>(files.read_number(function_path(address) + "/irq").value_or(0));
}

/// The handlers in /proc/interrupts: "16:  0  12  IO-APIC  16-fasteoi  i801_smbus, eth1".
std::vector<std::string> handlers_of(const file_tree& files, int line_number) {
    const auto text = "\n" + files.read_or_empty("/proc/interrupts");
    std::vector<std::string> names;
    auto begin = text.find(" " + std::to_string(line_number) + ":");
    // Numbers are right-aligned, so only blanks stand before one.
    if (begin == text.npos || text.find_last_not_of(' ', begin) != text.rfind('\n', begin))
        return names;
    auto line = text.substr(begin, text.find('\n', begin) - begin);
    line = line.substr(line.rfind("  ") + 2);
    for (std::size_t at = 0; at < line.size();) {
        const auto comma = std::min(line.find(", ", at), line.size());
        names.push_back(line.substr(at, comma - at));
        at = comma + 2;
    }
    return names;
}

bool is_name_of(const pci_function& function, const std::string& handler) {
    return handler == function.driver || handler == format_address(function.address) ||
           std::ranges::find(function.netdevs, handler) != function.netdevs.end();
}

/// Functions with a driver on the same line that do not use MSI, and handlers of anything else.
std::vector<std::string> find_sharers(const file_tree& files, const host_facts& host,
                                      const pci_function& function, int line_number) {
    std::vector<std::string> sharers;
    std::vector<const pci_function*> known{&function};
    for (const auto& other : host.functions) {
        if (other.address == function.address || other.driver.empty() ||
            is_assignment_driver(other.driver) ||
            read_line_number(files, other.address) != line_number ||
            !files.list(function_path(other.address) + "/msi_irqs").empty())
            continue;
        sharers.push_back(format_address(other.address) + " (" + other.driver + ")");
        known.push_back(&other);
    }
    for (auto& handler : handlers_of(files, line_number))
        if (std::ranges::none_of(known,
                                 [&](const auto* each) { return is_name_of(*each, handler); }))
            sharers.push_back(std::move(handler));
    return sharers;
}

} // namespace

function_abilities read_abilities(const file_tree& files, const host_facts& host,
                                  const host_address& address) {
    const auto path = function_path(address);
    function_abilities found;
    const auto configuration = files.read_or_empty(path + "/config");
    // Without privileges only the first 64 bytes can be read: the capabilities are beyond.
    found.configuration_readable = configuration.size() > 64;
    // A virtual function's ids always read as ones (they are its PF's): only all of it tells.
    found.dead = !configuration.empty() && std::ranges::all_of(configuration, [](char byte) {
        return static_cast<unsigned char>(byte) == 0xff;
    });
    found.interrupt_pin = static_cast<int>(byte_at(configuration, interrupt_pin_offset));
    if (found.configuration_readable && !found.dead) read_capabilities(configuration, found);
    found.reset_methods = files.read_line(path + "/reset_method");
    if (found.reset_methods.empty() && files.exists(path + "/reset")) found.reset_methods = "reset";
    const auto* function = host.find(address);
    // With MSI in use the kernel shows another number, and the line does not matter.
    found.interrupt_line = read_line_number(files, address);
    if (function && found.interrupt_line != 0 && !found.msi)
        found.interrupt_sharers = find_sharers(files, host, *function, found.interrupt_line);
    return found;
}

} // namespace vmplug
