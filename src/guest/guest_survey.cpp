#include "guest/guest_survey.hpp"

#include "guest/device_sight.hpp"
#include "guest/pci_buses.hpp"
#include "guest/port_rules.hpp"

#include <nlohmann/json.hpp>

#include <algorithm>
#include <charconv>
#include <functional>
#include <limits>
#include <map>
#include <set>
#include <utility>

namespace vmplug {
namespace {

using nlohmann::json;

constexpr std::size_t bridge_depth_max = 32;
constexpr std::size_t buses_max = 512;

constexpr const char* peripheral = "/machine/peripheral/";
constexpr const char* anonymous = "/machine/peripheral-anon/";
constexpr const char* unattached = "/machine/unattached/";

std::string text_of(const json& object, const char* key) {
    const auto found = object.is_object() ? object.find(key) : object.end();
    return found != object.end() && found->is_string() ? found->get<std::string>() : std::string();
}

std::int64_t number_of(const json& object, const char* key) {
    const auto found = object.is_object() ? object.find(key) : object.end();
    return found != object.end() && found->is_number_integer() ? found->get<std::int64_t>() : 0;
}

const json& array_of(const json& object, const char* key) {
    static const json empty = json::array();
    const auto found = object.is_object() ? object.find(key) : object.end();
    return found != object.end() && found->is_array() ? *found : empty;
}

/// The type in "child<TYPE>", empty for anything else.
std::string child_type(const std::string& text) {
    if (!text.starts_with("child<") || !text.ends_with('>')) return {};
    return text.substr(6, text.size() - 7);
}

std::string last_component(const std::string& path) {
    return path.substr(path.rfind('/') + 1);
}

/// The sum of two sizes in bytes, of which neither is believed: bounded at both ends.
std::uint64_t add_sizes(std::int64_t one, std::int64_t other) {
    const auto size = [](std::int64_t value) {
        return static_cast<std::uint64_t>(std::max<std::int64_t>(value, 0));
    };
    // Two of 63 bits fit, and what is locked on top of them fits as well.
    return std::min(size(one) + size(other),
                    static_cast<std::uint64_t>(std::numeric_limits<std::int64_t>::max()));
}

/// slot * 8 + function, as QOM has it for `addr`.
std::optional<unsigned> devfn_of(const json& addr) {
    if (!addr.is_number_integer()) return std::nullopt;
    const auto value = addr.get<std::int64_t>();
    if (value < 0 || value > 0xff) return std::nullopt;
    return static_cast<unsigned>(value);
}

/// The types in a reply of qom-list-types, each with its parent.
std::map<std::string, std::string> type_parents(const json& reply) {
    std::map<std::string, std::string> types;
    if (!reply.is_array()) return types;
    for (const auto& each : reply)
        if (auto name = text_of(each, "name"); !name.empty())
            types.emplace(std::move(name), text_of(each, "parent"));
    return types;
}

/// Whether a bus type is PCI Express: itself, or by one of its parents.
bool is_express(const std::map<std::string, std::string>& bus_types, std::string type) {
    for (std::size_t depth = 0; depth < bridge_depth_max && type != "PCIE"; ++depth) {
        const auto found = bus_types.find(type);
        if (found == bus_types.end()) return false;
        type = found->second;
    }
    return type == "PCIE";
}

std::string qom_list(const std::string& path) {
    return json{{"path", path}}.dump(-1, ' ', false, json::error_handler_t::replace);
}

std::string qom_get(const std::string& path, const char* property) {
    return json{{"path", path}, {"property", property}}.dump(-1, ' ', false,
                                                             json::error_handler_t::replace);
}

/// All BARs of a function have addresses: the guest has configured it. Before that QEMU shows
/// 0xffff... or -1.
bool is_configured(const json& function) {
    const auto& regions = array_of(function, "regions");
    return std::ranges::any_of(regions, [](const json& region) {
        const auto address = region.is_object() ? region.find("address") : region.end();
        if (address == region.end()) return false;
        if (address->is_number_unsigned())
            return address->get<std::uint64_t>() != ~std::uint64_t{0} &&
                   address->get<std::uint64_t>() != 0xffffffffU;
        return address->is_number_integer() && address->get<std::int64_t>() >= 0;
    });
}

/// Calls `visit` for each function that query-pci shows, those behind bridges too.
void visit_functions(const json& devices, std::size_t depth,
                     const std::function<void(const json&)>& visit) {
    if (depth > bridge_depth_max) return;
    for (const auto& function : devices) {
        if (!function.is_object()) continue;
        visit(function);
        const auto bridge = function.find("pci_bridge");
        if (bridge != function.end())
            visit_functions(array_of(*bridge, "devices"), depth + 1, visit);
    }
}

device_model parse_model(const char* type, const json& reply) {
    device_model model{type, {}};
    for (const auto& property : reply)
        if (auto name = text_of(property, "name"); !name.empty())
            model.properties.push_back({std::move(name), text_of(property, "type")});
    return model;
}

} // namespace

bool lists_device(const json& qom_list, std::string_view qdev_id) {
    return qom_list.is_array() && std::ranges::any_of(qom_list, [&](const json& entry) {
               return text_of(entry, "name") == qdev_id;
           });
}

bool shows_configured(const json& query_pci, std::string_view qdev_id) {
    bool found = false;
    if (!query_pci.is_array()) return found;
    for (const auto& bus : query_pci)
        visit_functions(array_of(bus, "devices"), 0, [&](const json& function) {
            if (text_of(function, "qdev_id") == qdev_id) found = found || is_configured(function);
        });
    return found;
}

struct guest_survey::state {
    struct pending {
        guest_query query;
        std::function<void(const json&)> take;
    };
    using type_map = std::map<std::string, std::string>;

    guest_facts facts;
    json pci = json::array();
    std::vector<pending> batch;
    type_map bus_types, host_bridge_types, bridge_types, x86_iommu_types, arm_iommu_types;
    std::vector<pci_bus> bridges; ///< what offers buses; their paths are not known yet
    std::vector<pci_bus> buses;
    std::vector<std::string> sits_on;            ///< for each device the path of its bus
    std::vector<std::optional<unsigned>> devfns; ///< for each device
    std::vector<std::pair<std::string, std::string>> iommus; ///< QOM path, type
    bool machine_has_iommu_property = false;
    int round = 0;
    bool finished = false;

    void ask(std::string command, std::string arguments, std::function<void(const json&)> take) {
        batch.push_back({{std::move(command), std::move(arguments)}, std::move(take)});
    }
    void ask_text(const std::string& path, const char* property, std::string& into) {
        ask("qom-get", qom_get(path, property), [&into](const json& r) {
            if (r.is_string()) into = r.get<std::string>();
        });
    }

    void ask_machine();
    void ask_types();
    void ask_models();
    void ask_devices();
    void ask_bridges();
    void ask_iommus();
    void ask_buses();
    void ask_reasons();
    void take_machine(const json& reply);
    void take_children(const json& reply, const std::string& parent);
    void take_devices(const json& reply, const std::string& parent, bool named);
    void take_bridge_or_iommu(const std::string& path, const std::string& type);
    void take_buses(const pci_bus& bridge, const json& reply);
    void find_bridges();
    std::vector<bus_occupant> occupants() const;
    void add_built_in(const pci_bus& bus, std::vector<bus_occupant>& found) const;
    bool belongs_to(const json& root, const pci_bus& bus) const;
    void place_devices();
    void place_function(const json& function);
    void finish();

    json machine_children = json::array();
    json unattached_children = json::array();
};

void guest_survey::state::ask_machine() {
    ask("query-name", {}, [this](const json& r) { facts.name = text_of(r, "name"); });
    ask("query-status", {}, [this](const json& r) {
        facts.status = text_of(r, "status");
        facts.running = r.is_object() && r.value("running", json(false)) == json(true);
    });
    ask("query-migrate", {}, [this](const json& r) {
        const auto status = text_of(r, "status");
        const bool over = status.empty() || status == "none" || status == "completed" ||
                          status == "failed" || status == "cancelled";
        facts.migration = over ? "" : status;
    });
    ask("query-memory-size-summary", {}, [this](const json& r) {
        facts.ram_bytes = add_sizes(number_of(r, "base-memory"), number_of(r, "plugged-memory"));
    });
    ask_text("/machine", "type", facts.machine_type);
    ask("query-pci", {}, [this](const json& r) {
        if (r.is_array()) pci = r;
    });
    ask("qom-list", qom_list("/machine/peripheral"),
        [this](const json& r) { take_devices(r, peripheral, true); });
    ask("qom-list", qom_list("/machine/peripheral-anon"),
        [this](const json& r) { take_devices(r, anonymous, false); });
    ask("qom-list", qom_list("/machine"), [this](const json& r) {
        if (r.is_array()) machine_children = r;
    });
    ask("qom-list", qom_list("/machine/unattached"), [this](const json& r) {
        if (r.is_array()) unattached_children = r;
    });
}

/// Which types are buses, bridges and IOMMUs is QEMU's to say.
void guest_survey::state::ask_types() {
    const auto ask_type = [this](const char* implemented, type_map& into) {
        ask("qom-list-types", json{{"implements", implemented}}.dump(),
            [&into](const json& r) { into = type_parents(r); });
    };
    ask_type("PCI", bus_types);
    ask_type("pci-host-bridge", host_bridge_types);
    ask_type("base-pci-bridge", bridge_types);
    ask_type("x86-iommu", x86_iommu_types);
    ask_type("arm-smmu", arm_iommu_types);
}

void guest_survey::state::ask_models() {
    ask("device-list-properties", R"({"typename":"vfio-pci"})",
        [this](const json& r) { facts.vfio_pci = parse_model("vfio-pci", r); });
    // The alias that people type is pci-assign; QOM knows the type alone.
    ask("device-list-properties", R"({"typename":"kvm-pci-assign"})",
        [this](const json& r) { facts.pci_assign = parse_model("kvm-pci-assign", r); });
}

void guest_survey::state::take_devices(const json& reply, const std::string& parent, bool named) {
    if (!reply.is_array()) return;
    for (const auto& entry : reply) {
        auto type = child_type(text_of(entry, "type"));
        const auto name = text_of(entry, "name");
        if (type.empty() || name.empty() || facts.devices.size() >= devices_max) continue;
        guest_device device;
        device.qdev_id = named ? name : "";
        device.type = std::move(type);
        device.qom_path = parent + name;
        facts.devices.push_back(std::move(device));
    }
}

void guest_survey::state::take_bridge_or_iommu(const std::string& path, const std::string& type) {
    if (x86_iommu_types.contains(type) || arm_iommu_types.contains(type) ||
        type.starts_with("virtio-iommu"))
        iommus.emplace_back(path, type);
    const bool root = host_bridge_types.contains(type);
    if ((!root && !bridge_types.contains(type)) || bridges.size() >= buses_max) return;
    pci_bus bridge;
    bridge.bridge_path = path;
    bridge.bridge_type = type;
    bridge.root = root;
    bridges.push_back(std::move(bridge));
}

/// The machine's own are children of itself or have no parent of their own; pxb brings such a one
/// along with each device that a user added.
void guest_survey::state::take_children(const json& reply, const std::string& parent) {
    for (const auto& entry : reply) {
        const auto type = child_type(text_of(entry, "type"));
        if (!type.empty()) take_bridge_or_iommu(parent + text_of(entry, "name"), type);
        if (parent == "/machine/" && text_of(entry, "name") == "iommu")
            machine_has_iommu_property = true;
    }
}

void guest_survey::state::find_bridges() {
    take_children(machine_children, "/machine/");
    take_children(unattached_children, unattached);
    for (const auto& device : facts.devices)
        take_bridge_or_iommu(device.qom_path, device.type);
}

void guest_survey::state::take_buses(const pci_bus& bridge, const json& reply) {
    if (!reply.is_array()) return;
    for (const auto& entry : reply) {
        const auto type = child_type(text_of(entry, "type"));
        if (!bus_types.contains(type) || buses.size() >= buses_max) continue;
        auto bus = bridge;
        bus.path = bridge.bridge_path + "/" + text_of(entry, "name");
        bus.express = is_express(bus_types, type);
        buses.push_back(std::move(bus));
    }
}

void guest_survey::state::ask_devices() {
    sits_on.resize(facts.devices.size());
    devfns.resize(facts.devices.size());
    for (std::size_t i = 0; i < facts.devices.size(); ++i) {
        auto& device = facts.devices[i];
        ask_text(device.qom_path, "parent_bus", sits_on[i]);
        if (!is_assigned_type(device.type)) continue;
        ask_text(device.qom_path, "host", device.host);
        // VFIO fills it in whichever way the device was named, and asks for nothing else.
        ask("qom-get", qom_get(device.qom_path, "sysfsdev"), [&device](const json& r) {
            const auto path = r.is_string() ? r.get<std::string>() : std::string();
            if (path.empty()) return;
            const auto address = parse_host_address(last_component(path));
            device.host = address.has_value() ? format_address(*address) : path;
        });
    }
}

void guest_survey::state::ask_bridges() {
    find_bridges();
    for (auto& bridge : bridges) {
        if (bridge.root && (!iommus.empty() || machine_has_iommu_property))
            ask("qom-get", qom_get(bridge.bridge_path, "bypass-iommu"),
                [&bridge](const json& r) { bridge.bypasses_iommu = r == json(true); });
        // Those that a user added are asked with the devices.
        if (!bridge.root && bridge.bridge_path.starts_with(unattached))
            ask_text(bridge.bridge_path, "parent_bus", bridge.upstream);
        // Last: its buses take over what is known of it by then.
        ask("qom-list", qom_list(bridge.bridge_path),
            [this, &bridge](const json& r) { take_buses(bridge, r); });
    }
}

/// A device that a host assigns needs to see each change of the IOMMU's tables.
void guest_survey::state::ask_iommus() {
    if (machine_has_iommu_property)
        ask("qom-get", qom_get("/machine", "iommu"), [this](const json& r) {
            const auto type = r.is_string() ? r.get<std::string>() : std::string();
            if (type.empty() || type == "none") return;
            facts.iommu = guest_iommu{type, "QEMU cannot tell VFIO what it maps"};
        });
    for (const auto& [path, type] : iommus) {
        const bool x86 = x86_iommu_types.contains(type);
        guest_iommu found{type, ""};
        if (x86) found.why_not = "it was started without caching-mode=on";
        if (arm_iommu_types.contains(type)) found.why_not = "QEMU cannot tell VFIO what it maps";
        facts.iommu = std::move(found);
        if (!x86) continue;
        // The name that AMD's has for the same.
        for (const char* property : {"caching-mode", "dma-remap"})
            ask("qom-get", qom_get(path, property), [this](const json& r) {
                if (r == json(true)) facts.iommu->why_not.clear();
                // Where there is such a switch, and it is off, QEMU looks no further.
                facts.iommu->everywhere = r == json(false);
            });
    }
}

void guest_survey::state::ask_buses() {
    for (auto& bus : buses) {
        for (std::size_t i = 0; i < facts.devices.size(); ++i)
            if (facts.devices[i].qom_path == bus.bridge_path) bus.upstream = sits_on[i];
        ask("qom-get", qom_get(bus.path, "hotplug-handler"), [&bus](const json& r) {
            if (r.is_string()) bus.handler = r.get<std::string>();
        });
    }
    for (std::size_t i = 0; i < facts.devices.size(); ++i) {
        const auto bus = std::ranges::find(buses, sits_on[i], &pci_bus::path);
        if (bus == buses.end() || bus->express) continue;
        ask("qom-get", qom_get(facts.devices[i].qom_path, "addr"),
            [this, i](const json& r) { devfns[i] = devfn_of(r); });
    }
}

/// What a person can do something about.
void guest_survey::state::ask_reasons() {
    for (auto& bus : buses)
        if (bus.is_port() && bus.handler && bus.handler->empty())
            ask("qom-get", qom_get(bus.bridge_path, "hotplug"),
                [&bus](const json& r) { bus.switched_off = r == json(false); });
}

void guest_survey::state::place_function(const json& function) {
    const auto qdev_id = text_of(function, "qdev_id");
    if (qdev_id.empty()) return;
    const auto device = std::ranges::find(facts.devices, qdev_id, &guest_device::qdev_id);
    if (device == facts.devices.end()) return;
    device->address = guest_address{0, static_cast<std::uint8_t>(number_of(function, "bus")),
                                    static_cast<std::uint8_t>(number_of(function, "slot")),
                                    static_cast<std::uint8_t>(number_of(function, "function"))};
    device->configured = is_configured(function);
}

void guest_survey::state::place_devices() {
    for (const auto& bus : pci)
        visit_functions(array_of(bus, "devices"), 0,
                        [this](const json& function) { place_function(function); });
    for (std::size_t i = 0; i < sits_on.size(); ++i)
        facts.devices[i].bus = last_component(sits_on[i]);
}

/// Whether an entry of query-pci is this root bus: one of its devices is known to sit there, or
/// none is known to sit elsewhere.
bool guest_survey::state::belongs_to(const json& root, const pci_bus& bus) const {
    bool elsewhere = false;
    for (const auto& function : array_of(root, "devices")) {
        const auto id = text_of(function, "qdev_id");
        for (std::size_t i = 0; !id.empty() && i < facts.devices.size(); ++i) {
            if (facts.devices[i].qdev_id != id || i >= sits_on.size()) continue;
            if (sits_on[i] == bus.path) return true;
            elsewhere = true;
        }
    }
    return !elsewhere;
}

/// What the machine itself has on a root bus has no id, and only query-pci shows where it is.
void guest_survey::state::add_built_in(const pci_bus& bus, std::vector<bus_occupant>& found) const {
    for (const auto& root : pci) {
        if (!belongs_to(root, bus)) continue;
        for (const auto& function : array_of(root, "devices")) {
            const auto slot = number_of(function, "slot");
            const auto number = number_of(function, "function");
            if (!text_of(function, "qdev_id").empty() || slot < 0 || slot > 31) continue;
            if (number < 0 || number > 7) continue;
            found.push_back({bus.path, {}, static_cast<unsigned>(slot * 8 + number)});
        }
    }
}

std::vector<bus_occupant> guest_survey::state::occupants() const {
    std::vector<bus_occupant> found;
    for (std::size_t i = 0; i < facts.devices.size() && i < sits_on.size(); ++i) {
        const auto& device = facts.devices[i];
        found.push_back(
            {sits_on[i], device.qdev_id.empty() ? device.qom_path : device.qdev_id, devfns[i]});
    }
    for (const auto& bus : buses)
        if (bus.root && bus.handler && !bus.handler->empty()) add_built_in(bus, found);
    return found;
}

/// QEMUs before 2.0 do not know who handles a hot-add: the rules that their types have serve there.
void guest_survey::state::finish() {
    finished = true;
    place_devices();
    const bool told =
        std::ranges::any_of(buses, [](const pci_bus& bus) { return bus.handler.has_value(); });
    // A machine without PCI has nothing to tell.
    const bool nothing = buses.empty() && pci.empty() && !bus_types.empty();
    if (told || nothing)
        facts.ports = make_ports(buses, occupants(), facts.machine_type);
    else
        collect_ports(facts, {});
}

guest_survey::guest_survey(std::string version) : state_(std::make_unique<state>()) {
    state_->facts.version = std::move(version);
}
guest_survey::guest_survey(guest_survey&&) noexcept = default;
guest_survey& guest_survey::operator=(guest_survey&&) noexcept = default;
guest_survey::~guest_survey() = default;

std::vector<guest_query> guest_survey::next() {
    auto& s = *state_;
    // A round may have nothing to ask although a later one has.
    for (s.batch.clear(); s.batch.empty() && s.round < 4; ++s.round) {
        if (s.round == 0) {
            s.ask_machine();
            s.ask_types();
            s.ask_models();
        }
        if (s.round == 1) {
            s.ask_devices();
            s.ask_bridges();
            s.ask_iommus();
        }
        if (s.round == 2) s.ask_buses();
        if (s.round == 3) s.ask_reasons();
    }
    if (s.batch.empty() && !s.finished) s.finish();
    std::vector<guest_query> queries;
    for (const auto& each : s.batch)
        queries.push_back(each.query);
    return queries;
}

void guest_survey::answer(std::size_t index, const nlohmann::json* reply) {
    if (reply && index < state_->batch.size()) state_->batch[index].take(*reply);
}

const guest_facts& guest_survey::facts() const {
    return state_->facts;
}

} // namespace vmplug
