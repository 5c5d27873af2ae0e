#include "guest/hmp_survey.hpp"

#include "guest/device_tree.hpp"
#include "guest/port_rules.hpp"

#include <algorithm>
#include <array>
#include <charconv>
#include <optional>
#include <set>
#include <utility>

namespace vmplug {
namespace {

enum question : std::size_t { name, status, migration, memory, tree, pci, vfio_pci, pci_assign };

/// Calls `visit` for each line, without its ending.
template <class Visit>
void for_each_line(std::string_view text, Visit visit) {
    for (std::size_t begin = 0; begin < text.size();) {
        const auto end = std::min(text.find('\n', begin), text.size());
        visit(text.substr(begin, end - begin));
        begin = end + 1;
    }
}

/// What follows `label` in the first line that begins with it.
std::string_view value_after(std::string_view text, std::string_view label) {
    std::string_view found;
    for_each_line(text, [&](std::string_view line) {
        if (found.empty() && line.starts_with(label)) found = line.substr(label.size());
    });
    return found;
}

std::uint64_t number_after(std::string_view text, std::string_view label) {
    const auto digits = value_after(text, label);
    std::uint64_t number = 0;
    std::from_chars(digits.data(), digits.data() + digits.size(), number);
    return number;
}

/// "running", "paused", "paused (prelaunch)": the run state is in the brackets.
std::string run_state(std::string_view text) {
    const auto open = text.find('(');
    if (open == text.npos) return std::string(text);
    return std::string(text.substr(open + 1, text.find(')') - open - 1));
}

std::string migration_under_way(std::string_view text) {
    const auto state = value_after(text, "Migration status: ");
    const bool over = state.empty() || state == "none" || state == "completed" ||
                      state.starts_with("failed") || state == "cancelled";
    return over ? std::string() : std::string(state);
}

/// "  host=<str>  - ..." today, "pci-assign.host=pci-hostaddr" until QEMU 2.x.
device_model parse_properties(std::string type, std::string_view help) {
    device_model model{std::move(type), {}};
    for_each_line(help, [&](std::string_view line) {
        const auto begin = std::min(line.find_first_not_of(' '), line.size());
        line = line.substr(begin, line.find(' ', begin) - begin);
        const auto equals = line.find('=');
        if (equals == line.npos) return;
        auto property = line.substr(0, equals);
        if (const auto dot = property.rfind('.'); dot != property.npos)
            property.remove_prefix(dot + 1);
        auto kind = line.substr(equals + 1);
        if (kind.starts_with('<') && kind.ends_with('>')) kind = kind.substr(1, kind.size() - 2);
        model.properties.push_back({std::string(property), std::string(kind)});
    });
    return model;
}

std::string machine_type_of(const device_tree& tree) {
    if (tree.has_type("i440FX-pcihost")) return "pc-i440fx";
    return tree.has_type("q35-pcihost") ? "pc-q35" : "";
}

/// Built-in devices have no id either: only what sits on a port counts as added.
bool was_added(const tree_device& device, const device_tree& tree) {
    const auto* parent = tree.find(device.bus);
    return !device.qdev_id.empty() || (parent && is_single_slot(parent->type));
}

std::string property_of(const tree_device& device, const std::string& key) {
    const auto found = device.properties.find(key);
    return found == device.properties.end() ? std::string() : found->second;
}

bool is_switched_off(const tree_device& port) {
    const auto hot_plug = property_of(port, "hotplug");
    return hot_plug == "false" || hot_plug == "off";
}

/// "02.0", as slot * 8 + function.
std::optional<unsigned> devfn_of(const tree_device& device) {
    const auto text = property_of(device, "addr");
    unsigned slot = 0;
    unsigned function = 0;
    const auto* end = text.data() + text.size();
    const auto read = std::from_chars(text.data(), end, slot, 16);
    if (read.ec != std::errc() || read.ptr == end || *read.ptr != '.') return std::nullopt;
    const auto rest = std::from_chars(read.ptr + 1, end, function, 16);
    if (rest.ec != std::errc() || rest.ptr != end || slot > 31 || function > 7) return std::nullopt;
    return slot * 8 + function;
}

/// The root buses whose place in QOM is the machine's name for them.
std::string root_path(const device_tree& tree) {
    if (tree.has_type("i440FX-pcihost")) return "/machine/i440fx/pci.0";
    return tree.has_type("q35-pcihost") ? "/machine/q35/pcie.0" : "";
}

guest_device device_of(const tree_device& each) {
    guest_device device;
    device.qdev_id = each.qdev_id;
    device.type = each.type;
    device.bus = each.bus;
    // There are no QOM paths here: this says as much to a person.
    device.qom_path =
        each.qdev_id.empty() ? "a " + each.type + " without id on " + each.bus : each.qdev_id;
    if (is_assigned_type(each.type)) {
        const auto path = property_of(each, "sysfsdev");
        const auto address = parse_host_address(path.substr(path.rfind('/') + 1));
        device.host = address.has_value() ? format_address(*address)
                      : path.empty()      ? property_of(each, "host")
                                          : path;
    }
    device.configured = each.configured;
    return device;
}

} // namespace

void hmp_survey::add_bridge(const tree_device& bridge, const std::string& upstream) {
    pci_bus bus;
    bus.bridge_path = "/machine/peripheral/" + bridge.qdev_id;
    bus.path = bus.bridge_path + "/" + bridge.qdev_id;
    bus.bridge_type = bridge.type;
    bus.upstream = upstream;
    bus.express = is_single_slot(bridge.type);
    bus.switched_off = is_switched_off(bridge);
    buses_.push_back(std::move(bus));
}

/// Ports by the rules that their types have, until QEMU says who handles a hot-add.
void hmp_survey::take_tree(const device_tree& tree) {
    facts_.machine_type = machine_type_of(tree);
    if (tree.devices.size() >= device_tree::devices_max)
        failure_ = error{error_code::limit_exceeded,
                         facts_.name,
                         "the guest has more than " + std::to_string(device_tree::devices_max) +
                             " devices",
                         {}};
    facts_.ports.clear();
    buses_.clear();
    occupants_.clear();
    std::set<std::string> hot_plug_off;
    pci_bus root;
    root.path = root_path(tree);
    root.bridge_path = root.path.substr(0, root.path.rfind('/'));
    root.root = true;
    root.express = root.name() == "pcie.0";
    if (!root.path.empty()) buses_.push_back(root);
    for (const auto& each : tree.devices) {
        const auto bus = each.bus == root.name()
                             ? root.path
                             : "/machine/peripheral/" + each.bus + "/" + each.bus;
        const bool added = was_added(each, tree);
        auto device = device_of(each);
        occupants_.push_back({bus, added ? device.qom_path : "", devfn_of(each)});
        if (!added) continue;
        if (is_switched_off(each)) hot_plug_off.insert(device.qom_path);
        if (offers_bus(each.type) && !each.qdev_id.empty()) add_bridge(each, bus);
        facts_.devices.push_back(std::move(device));
    }
    collect_ports(facts_, hot_plug_off);
}

/// A port without an id is known by the rules alone, which do not offer it.
void hmp_survey::take_told(guest_facts& facts) const {
    auto told = make_ports(buses_, occupants_, facts.machine_type);
    for (const auto& port : facts.ports)
        if (port.bus.find(' ') != std::string::npos) told.push_back(port);
    facts.ports = std::move(told);
}

std::vector<std::string> hmp_survey::bus_lines() const {
    std::vector<std::string> lines;
    for (const auto* property : {"hotplug-handler", pci_bus::selector_property})
        for (const auto& bus : buses_)
            lines.push_back("qom-get " + bus.path + " " + property);
    return lines;
}

/// The answers are JSON text: the paths of the handlers, empty ones too; then the selectors.
void hmp_survey::answer_bus(std::size_t number, std::string_view output) {
    const auto text = output.substr(0, output.find_last_not_of("\r\n ") + 1);
    if (number < buses_.size()) {
        if (text.size() >= 2 && text.front() == '"' && text.back() == '"')
            buses_[number].handler = text.substr(1, text.size() - 2);
    } else if (number < 2 * buses_.size()) {
        buses_[number - buses_.size()].has_selector = true;
    }
}

std::span<const char* const> hmp_survey_lines() {
    static constexpr std::array lines{
        "info name",  "info status", "info migrate",          "info memory_size_summary",
        "info qtree", "info pci",    "device_add vfio-pci,?", "device_add pci-assign,?"};
    return lines;
}

void hmp_survey::answer(std::size_t number, std::string_view output) {
    const auto text = output.substr(0, output.find_last_not_of("\r\n ") + 1);
    switch (number) {
    case name:
        facts_.name = text;
        return;
    case status:
        facts_.status = run_state(value_after(text, "VM status: "));
        facts_.running = facts_.status == "running";
        return;
    case migration:
        facts_.migration = migration_under_way(text);
        return;
    case memory:
        facts_.ram_bytes =
            number_after(text, "base memory: ") + number_after(text, "plugged memory: ");
        return;
    case tree:
        return take_tree(parse_device_tree(text));
    case pci:
        if (facts_.machine_type.empty() && facts_.devices.empty()) take_tree(parse_pci_list(text));
        return;
    case vfio_pci:
        if (auto model = parse_properties("vfio-pci", text); !model.properties.empty())
            facts_.vfio_pci = std::move(model);
        return;
    case pci_assign:
        // The first QEMUs print the help of a model to their own stderr.
        if (auto model = parse_properties("pci-assign", text);
            !model.properties.empty() || text.empty())
            facts_.pci_assign = std::move(model);
        return;
    default:
        return;
    }
}

guest_facts hmp_survey::facts() const {
    auto facts = facts_;
    if (std::ranges::any_of(buses_, [](const pci_bus& bus) { return bus.handler.has_value(); }))
        take_told(facts);
    return facts;
}

} // namespace vmplug
