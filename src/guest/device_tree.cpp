#include "guest/device_tree.hpp"

#include <algorithm>
#include <charconv>
#include <cstdint>
#include <optional>
#include <utility>

namespace vmplug {
namespace {

constexpr std::size_t depth_max = 64;

/// What follows `label` in `line`, when it begins with it.
std::optional<std::string_view> after(std::string_view line, std::string_view label) {
    if (!line.starts_with(label)) return std::nullopt;
    return line.substr(label.size());
}

std::string_view unquoted(std::string_view text) {
    if (text.size() < 2 || text.front() != '"' || text.back() != '"') return text;
    return text.substr(1, text.size() - 2);
}

/// "bar 0: mem at 0xfebc0000 [0xfebdffff]"; QEMU shows all ones before the guest has placed it.
bool shows_address(std::string_view bar) {
    const auto at = bar.find(" at 0x");
    if (at == bar.npos) return false;
    const auto digits = bar.substr(at + 6);
    std::uint64_t address = 0;
    std::from_chars(digits.data(), digits.data() + digits.size(), address, 16);
    return address != ~std::uint64_t{0} && address != 0xffffffffU;
}

template <class Visit>
void for_each_line(std::string_view text, Visit visit) {
    for (std::size_t begin = 0; begin < text.size();) {
        const auto end = std::min(text.find('\n', begin), text.size());
        auto line = text.substr(begin, end - begin);
        if (line.ends_with('\r')) line.remove_suffix(1);
        if (!line.empty()) visit(line);
        begin = end + 1;
    }
}

class reader {
public:
    void take(std::string_view line) {
        const auto indent = std::min(line.find_first_not_of(' '), line.size());
        line.remove_prefix(indent);
        while (!buses_.empty() && buses_.back().first >= indent)
            buses_.pop_back();
        if (const auto bus = after(line, "bus: ")) {
            if (buses_.size() < depth_max) buses_.emplace_back(indent, *bus);
        } else if (const auto device = after(line, "dev: ")) {
            take_device(*device);
        } else if (!found_.devices.empty()) {
            take_detail(line, found_.devices.back());
        }
    }
    device_tree result() { return std::move(found_); }

private:
    /// `TYPE, id "ID"`
    void take_device(std::string_view text) {
        if (found_.devices.size() >= device_tree::devices_max) return;
        tree_device device;
        const auto comma = std::min(text.find(", id "), text.size());
        device.type = text.substr(0, comma);
        if (comma < text.size()) device.qdev_id = unquoted(text.substr(comma + 5));
        if (!buses_.empty()) device.bus = buses_.back().second;
        found_.devices.push_back(std::move(device));
    }

    static void take_detail(std::string_view line, tree_device& device) {
        // Until QEMU 1.6 each property said where it came from.
        for (const auto* label : {"dev-prop: ", "bus-prop: "})
            if (const auto rest = after(line, label)) line = *rest;
        if (line.starts_with("bar ")) device.configured = device.configured || shows_address(line);
        const auto equals = line.find(" = ");
        if (equals == line.npos || device.properties.size() >= device_tree::devices_max) return;
        device.properties.emplace(line.substr(0, equals), unquoted(line.substr(equals + 3)));
    }

    device_tree found_;
    std::vector<std::pair<std::size_t, std::string>> buses_; ///< around the line, with its indent
};

} // namespace

const tree_device* device_tree::find(std::string_view qdev_id) const {
    const auto found = std::ranges::find(devices, qdev_id, &tree_device::qdev_id);
    return qdev_id.empty() || found == devices.end() ? nullptr : &*found;
}

bool device_tree::has_type(std::string_view type) const {
    return std::ranges::find(devices, type, &tree_device::type) != devices.end();
}

device_tree parse_device_tree(std::string_view text) {
    reader reading;
    for_each_line(text, [&](std::string_view line) { reading.take(line); });
    return reading.result();
}

device_tree parse_pci_list(std::string_view text) {
    device_tree found;
    for_each_line(text, [&](std::string_view line) {
        line.remove_prefix(std::min(line.find_first_not_of(' '), line.size()));
        if (line.starts_with("Bus ") && found.devices.size() < device_tree::devices_max)
            found.devices.push_back({{}, {}, "pci.0", {}, false});
        if (found.devices.empty()) return;
        auto& device = found.devices.back();
        if (const auto id = after(line, "id ")) device.qdev_id = unquoted(*id);
        if (line.starts_with("BAR")) device.configured = device.configured || shows_address(line);
        if (line.find("PCI device 8086:1237") != line.npos) device.type = "i440FX-pcihost";
        if (line.find("PCI device 8086:29c0") != line.npos) device.type = "q35-pcihost";
    });
    return found;
}

} // namespace vmplug
