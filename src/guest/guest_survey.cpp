#include "guest/guest_survey.hpp"

#include "guest/device_sight.hpp"
#include "guest/object_tree.hpp"
#include "guest/pci_buses.hpp"
#include "guest/port_rules.hpp"

#include <nlohmann/json.hpp>

#include <algorithm>
#include <charconv>
#include <functional>
#include <limits>
#include <string_view>
#include <unordered_map>
#include <utility>

namespace vmplug {
namespace {

using nlohmann::json;

constexpr std::size_t bridge_depth_max = 32;
constexpr std::size_t buses_max = 4096;

constexpr const char* peripheral = "/machine/peripheral/";
constexpr const char* anonymous = "/machine/peripheral-anon/";
constexpr const char* unattached = "/machine/unattached";

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
    using type_map = std::unordered_map<std::string_view, std::string>; ///< by path

    guest_facts facts;
    std::optional<error> failure;
    json pci; ///< an array, if QEMU shows it
    std::vector<pending> batch;
    std::vector<pci_bus> buses;
    bool buses_told = false;                     ///< this QEMU has shown its objects
    std::vector<std::string> sits_on;            ///< for each device the path of its bus
    std::vector<std::optional<unsigned>> devfns; ///< for each device
    std::vector<std::pair<std::string, std::string>> iommus; ///< QOM path, type
    std::string machine_iommu; ///< "none", "smmuv3"; empty: has no such
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
    void ask_models();
    void ask_devices();
    void ask_iommus();
    void ask_buses();
    void ask_places();
    void take_machine(const json& reply);
    void take_objects(const json& reply);
    void take_object(const tree_object& object, const type_map& types);
    void exceed(const char* what, std::size_t most);
    void take_devices(const json& reply, const std::string& parent, bool named);
    void find_root_buses();
    std::vector<bus_occupant> occupants() const;
    void add_built_in(const pci_bus& bus, std::vector<bus_occupant>& found) const;
    bool belongs_to(const json& root, const pci_bus& bus) const;
    void place_devices();
    void place_function(const json& function);
    std::string why_untold(const guest_port& port, bool told) const;
    void finish();
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
    ask_text("/machine", "iommu", machine_iommu);
    ask("human-monitor-command", R"({"command-line":"info qom-tree"})",
        [this](const json& r) { take_objects(r); });
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
        if (type.empty() || name.empty()) continue;
        if (facts.devices.size() >= devices_max) return exceed("devices", devices_max);
        guest_device device;
        device.qdev_id = named ? name : "";
        device.type = std::move(type);
        device.qom_path = parent + name;
        facts.devices.push_back(std::move(device));
    }
}

/// A bus is a child of the bridge or host bridge that offers it. What the machine and its users
/// have of IOMMUs are devices of their own; those that a host bridge keeps inside do not count.
void guest_survey::state::take_object(const tree_object& object, const type_map& types) {
    if (const auto express = express_bus(object.type)) {
        const auto bridge = types.find(object.parent);
        if (bridge == types.end()) return;
        if (buses.size() >= buses_max) return exceed("PCI buses", buses_max);
        pci_bus bus;
        bus.path = object.path;
        bus.bridge_path = object.parent;
        bus.bridge_type = bridge->second;
        bus.express = *express;
        buses.push_back(std::move(bus));
    }
    const bool is_device = object.parent + "/" == peripheral || object.parent + "/" == anonymous ||
                           object.parent == unattached;
    if (is_device && (object.type.find("iommu") != std::string::npos ||
                      object.type.find("smmu") != std::string::npos))
        iommus.emplace_back(object.path, object.type);
}

void guest_survey::state::exceed(const char* what, std::size_t most) {
    failure = error{error_code::limit_exceeded,
                    facts.name,
                    "the guest has more than " + std::to_string(most) + " " + what,
                    {}};
}

void guest_survey::state::take_objects(const json& reply) {
    if (!reply.is_string()) return;
    const auto objects = parse_object_tree(reply.get_ref<const std::string&>());
    buses_told = !objects.empty();
    if (objects.size() >= tree_objects_max) exceed("objects", tree_objects_max);
    type_map types;
    for (const auto& each : objects) {
        types.emplace(each.path, each.type);
        take_object(each, types);
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

/// What a root bus's bridge sits on, if on anything, is no PCI bus.
void guest_survey::state::find_root_buses() {
    for (auto& bus : buses) {
        for (std::size_t i = 0; i < facts.devices.size(); ++i)
            if (facts.devices[i].qom_path == bus.bridge_path) bus.upstream = sits_on[i];
        bus.root = std::ranges::find(buses, bus.upstream, &pci_bus::path) == buses.end();
    }
}

/// A device that a host assigns needs to see each change of the IOMMU's tables.
void guest_survey::state::ask_iommus() {
    constexpr const char* untold = "QEMU cannot tell VFIO what it maps";
    if (!machine_iommu.empty() && machine_iommu != "none")
        facts.iommu = guest_iommu{machine_iommu, untold};
    for (const auto& [path, type] : iommus) {
        const bool tells = type.starts_with("virtio-iommu");
        facts.iommu = guest_iommu{type, tells ? "" : untold};
        if (tells) continue;
        // What Intel's, AMD's and Arm's have for it. Where there is such a switch, and it is off,
        // QEMU looks no further.
        for (const std::string property : {"caching-mode", "dma-remap", "accel"})
            ask("qom-get", qom_get(path, property.c_str()), [this, property](const json& r) {
                if (!r.is_boolean()) return;
                facts.iommu->everywhere = property != "accel" && r == json(false);
                facts.iommu->why_not =
                    r == json(true) ? "" : "it was started without " + property + "=on";
            });
    }
}

void guest_survey::state::ask_buses() {
    for (auto& bus : buses) {
        // Those that a user added are asked with the devices.
        if (std::ranges::find(facts.devices, bus.bridge_path, &guest_device::qom_path) ==
            facts.devices.end())
            ask_text(bus.bridge_path, "parent_bus", bus.upstream);
        if (facts.iommu)
            ask("qom-get", qom_get(bus.bridge_path, "bypass-iommu"),
                [&bus](const json& r) { bus.bypasses_iommu = r == json(true); });
        ask("qom-get", qom_get(bus.path, "hotplug-handler"), [&bus](const json& r) {
            if (r.is_string()) bus.handler = r.get<std::string>();
        });
        ask("qom-get", qom_get(bus.path, pci_bus::selector_property),
            [&bus](const json& r) { bus.has_selector = r.is_number_integer(); });
    }
}

/// Where on a bus of several slots its devices are, and why a port takes no hot-add, if a person
/// can do something about that.
void guest_survey::state::ask_places() {
    find_root_buses();
    for (std::size_t i = 0; i < facts.devices.size(); ++i) {
        const auto bus = std::ranges::find(buses, sits_on[i], &pci_bus::path);
        if (bus == buses.end() || bus->is_port()) continue;
        ask("qom-get", qom_get(facts.devices[i].qom_path, "addr"),
            [this, i](const json& r) { devfns[i] = devfn_of(r); });
    }
    for (auto& bus : buses)
        if (bus.is_port() && bus.handler)
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
    const bool nothing = buses.empty() && pci.empty() && buses_told;
    if (told || nothing)
        facts.ports = make_ports(buses, occupants(), facts.machine_type);
    else
        collect_ports(facts, {});
    for (auto& port : facts.ports)
        if (const auto why = why_untold(port, told || nothing); !why.empty()) {
            port.takes_hot_add = false;
            port.why_not = why;
        }
}

/// What a QEMU can tell and does not is not guessed.
std::string guest_survey::state::why_untold(const guest_port& port, bool told) const {
    if (!port.takes_hot_add) return {};
    if (!told && tells_handlers(facts.version))
        return "this QEMU does not answer which bus takes a hot-add";
    const bool of_the_machine = std::ranges::any_of(
        buses, [&](const pci_bus& bus) { return bus.root && bus.name() == port.bus; });
    if (told && of_the_machine && !pci.is_array())
        return "this QEMU does not show what is on the bus";
    return {};
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
    for (s.batch.clear(); s.batch.empty() && s.round < 3; ++s.round) {
        if (s.round == 0) {
            s.ask_machine();
            s.ask_models();
        }
        if (s.round == 1) {
            s.ask_devices();
            s.ask_iommus();
            s.ask_buses();
        }
        if (s.round == 2) s.ask_places();
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

const std::optional<error>& guest_survey::failure() const {
    return state_->failure;
}

const guest_facts& guest_survey::facts() const {
    return state_->facts;
}

} // namespace vmplug
