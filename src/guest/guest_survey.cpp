#include "guest/guest_survey.hpp"

#include "guest/device_sight.hpp"
#include "guest/object_tree.hpp"
#include "guest/pci_buses.hpp"
#include "guest/port_rules.hpp"
#include "qapi/control.hpp"
#include "qapi/machine.hpp"
#include "qapi/qdev.hpp"

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

constexpr std::size_t buses_max = 4096;

constexpr const char* peripheral = "/machine/peripheral/";
constexpr const char* anonymous = "/machine/peripheral-anon/";
constexpr const char* unattached = "/machine/unattached";

std::string last_component(const std::string& path) {
    return path.substr(path.rfind('/') + 1);
}

/// slot * 8 + function, as QOM has it for `addr`.
std::optional<unsigned> devfn_of(const qapi::qom_value& addr) {
    const auto* value = std::get_if<std::int64_t>(&addr);
    if (!value || *value < 0 || *value > 0xff) return std::nullopt;
    return static_cast<unsigned>(*value);
}

bool is_off(const qapi::qom_value& value) {
    return value == qapi::qom_value(false);
}

/// A BAR of a function has an address: the guest has configured it. Before that an old QEMU shows
/// 0xffff..., which of 32 bits is no address either.
bool is_configured(const qapi::pci_function& function) {
    return std::ranges::any_of(function.regions, [](const qapi::pci_region& region) {
        return region.address && *region.address != ~std::uint64_t{0} &&
               *region.address != 0xffffffffU;
    });
}

/// Calls `visit` for each function, those behind bridges too.
void visit_functions(const std::vector<qapi::pci_function>& functions,
                     const std::function<void(const qapi::pci_function&)>& visit) {
    for (const auto& function : functions) {
        visit(function);
        visit_functions(function.behind, visit);
    }
}

device_model make_model(std::string type, std::vector<qapi::object_property> properties) {
    device_model model{std::move(type), {}};
    for (auto& each : properties)
        model.properties.push_back({std::move(each.name), std::move(each.type)});
    return model;
}

} // namespace

bool lists_device(const qapi::qom_list::reply& listed, std::string_view qdev_id) {
    return std::ranges::find(listed, qdev_id, &qapi::object_property::name) != listed.end();
}

bool shows_configured(const qapi::query_pci::reply& roots, std::string_view qdev_id) {
    bool found = false;
    for (const auto& root : roots)
        visit_functions(root.functions, [&](const qapi::pci_function& function) {
            if (function.qdev_id == qdev_id) found = found || is_configured(function);
        });
    return found;
}

struct guest_survey::state {
    struct pending {
        qapi::request request;
        std::function<void(const json&)> take;
    };
    using type_map = std::unordered_map<std::string_view, std::string>; ///< by path

    guest_facts facts;
    std::optional<error> failure;
    std::optional<qapi::query_pci::reply> pci; ///< if QEMU shows it
    std::vector<pending> batch;
    std::vector<pci_bus> buses;
    bool buses_told = false;                     ///< this QEMU has shown its objects
    std::vector<std::string> sits_on;            ///< for each device the path of its bus
    std::vector<std::optional<unsigned>> devfns; ///< for each device
    std::vector<std::pair<std::string, std::string>> iommus; ///< QOM path, type
    std::string machine_iommu; ///< "none", "smmuv3"; empty: has no such
    int round = 0;
    bool finished = false;

    /// What has not the documented form is missing, but what is too long to be read is not passed
    /// over: a device that is not seen would be a free port.
    template <class Command, class Take>
    void ask(const Command& command, Take take) {
        batch.push_back({qapi::make_request(command), [this, take](const json& answer) {
                             auto parsed = Command::parse(answer);
                             if (parsed.has_value()) return take(std::move(*parsed));
                             if (parsed.error().code == error_code::limit_exceeded)
                                 failure = parsed.error();
                         }});
    }
    void ask_text(const std::string& path, const char* property, std::string& into) {
        ask(qapi::qom_get{path, property}, [&into](qapi::qom_value value) {
            if (auto* text = std::get_if<std::string>(&value)) into = std::move(*text);
        });
    }

    void ask_machine();
    void ask_models();
    void ask_devices();
    void ask_iommus();
    void ask_buses();
    void ask_places();
    void take_objects(const std::string& text);
    void take_object(const tree_object& object, const type_map& types);
    void exceed(const char* what, std::size_t most);
    void take_devices(const std::vector<qapi::object_property>& listed, const std::string& parent,
                      bool named);
    void find_root_buses();
    std::vector<bus_occupant> occupants() const;
    void add_built_in(const pci_bus& bus, std::vector<bus_occupant>& found) const;
    bool belongs_to(const qapi::pci_root& root, const pci_bus& bus) const;
    void place_devices();
    void place_function(const qapi::pci_function& function);
    std::string why_untold(const guest_port& port, bool told) const;
    void finish();
};

void guest_survey::state::ask_machine() {
    ask(qapi::query_name{},
        [this](std::optional<std::string> name) { facts.name = std::move(name).value_or(""); });
    ask(qapi::query_status{}, [this](qapi::run_status now) {
        facts.status = std::move(now.status);
        facts.running = now.running;
    });
    ask(qapi::query_migrate{}, [this](const std::optional<std::string>& status) {
        const bool over = !status || *status == "none" || *status == "completed" ||
                          *status == "failed" || *status == "cancelled";
        facts.migration = over ? "" : *status;
    });
    ask(qapi::query_memory_size_summary{}, [this](const qapi::memory_size& size) {
        // Neither is believed: two of 63 bits fit, and what is locked on top has to fit as well.
        constexpr auto most = static_cast<std::uint64_t>(std::numeric_limits<std::int64_t>::max());
        facts.ram_bytes = std::min(size.base_bytes + size.plugged_bytes, most);
    });
    ask_text("/machine", "type", facts.machine_type);
    ask(qapi::query_pci{}, [this](qapi::query_pci::reply roots) { pci = std::move(roots); });
    ask(qapi::qom_list{"/machine/peripheral"},
        [this](const qapi::qom_list::reply& listed) { take_devices(listed, peripheral, true); });
    ask(qapi::qom_list{"/machine/peripheral-anon"},
        [this](const qapi::qom_list::reply& listed) { take_devices(listed, anonymous, false); });
    ask_text("/machine", "iommu", machine_iommu);
    ask(qapi::human_monitor_command{"info qom-tree"},
        [this](const std::string& text) { take_objects(text); });
}

void guest_survey::state::ask_models() {
    ask(qapi::device_list_properties{"vfio-pci"}, [this](std::vector<qapi::object_property> known) {
        facts.vfio_pci = make_model("vfio-pci", std::move(known));
    });
    // The alias that people type is pci-assign; QOM knows the type alone.
    ask(qapi::device_list_properties{"kvm-pci-assign"},
        [this](std::vector<qapi::object_property> known) {
            facts.pci_assign = make_model("kvm-pci-assign", std::move(known));
        });
}

void guest_survey::state::take_devices(const std::vector<qapi::object_property>& listed,
                                       const std::string& parent, bool named) {
    for (const auto& entry : listed) {
        const auto type = entry.child_type();
        if (type.empty()) continue;
        if (facts.devices.size() >= devices_max) return exceed("devices", devices_max);
        guest_device device;
        device.qdev_id = named ? entry.name : "";
        device.type = type;
        device.qom_path = parent + entry.name;
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

void guest_survey::state::take_objects(const std::string& text) {
    const auto objects = parse_object_tree(text);
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
        ask(qapi::qom_get{device.qom_path, "sysfsdev"}, [&device](const qapi::qom_value& value) {
            const auto* path = std::get_if<std::string>(&value);
            if (!path || path->empty()) return;
            const auto address = parse_host_address(last_component(*path));
            device.host = address.has_value() ? format_address(*address) : *path;
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
            ask(qapi::qom_get{path, property}, [this, property](const qapi::qom_value& value) {
                const auto* on = std::get_if<bool>(&value);
                if (!on) return;
                facts.iommu->everywhere = property != "accel" && !*on;
                facts.iommu->why_not = *on ? "" : "it was started without " + property + "=on";
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
            ask(qapi::qom_get{bus.bridge_path, "bypass-iommu"}, [&bus](const qapi::qom_value& on) {
                bus.bypasses_iommu = on == qapi::qom_value(true);
            });
        ask(qapi::qom_get{bus.path, "hotplug-handler"}, [&bus](qapi::qom_value value) {
            if (auto* path = std::get_if<std::string>(&value)) bus.handler = std::move(*path);
        });
        ask(qapi::qom_get{bus.path, pci_bus::selector_property},
            [&bus](const qapi::qom_value& number) {
                bus.has_selector = std::holds_alternative<std::int64_t>(number);
            });
    }
}

/// Where on a bus of several slots its devices are, and why a port takes no hot-add, if a person
/// can do something about that.
void guest_survey::state::ask_places() {
    find_root_buses();
    for (std::size_t i = 0; i < facts.devices.size(); ++i) {
        const auto bus = std::ranges::find(buses, sits_on[i], &pci_bus::path);
        if (bus == buses.end() || bus->is_port()) continue;
        ask(qapi::qom_get{facts.devices[i].qom_path, "addr"},
            [this, i](const qapi::qom_value& addr) { devfns[i] = devfn_of(addr); });
    }
    for (auto& bus : buses)
        if (bus.is_port() && bus.handler)
            ask(qapi::qom_get{bus.bridge_path, "hotplug"},
                [&bus](const qapi::qom_value& on) { bus.switched_off = is_off(on); });
}

void guest_survey::state::place_function(const qapi::pci_function& function) {
    if (function.qdev_id.empty()) return;
    const auto device = std::ranges::find(facts.devices, function.qdev_id, &guest_device::qdev_id);
    if (device == facts.devices.end()) return;
    device->address = guest_address{0, function.bus, function.slot, function.function};
    device->configured = is_configured(function);
}

void guest_survey::state::place_devices() {
    for (const auto& root : pci.value_or(qapi::query_pci::reply()))
        visit_functions(root.functions,
                        [this](const qapi::pci_function& function) { place_function(function); });
    for (std::size_t i = 0; i < sits_on.size(); ++i)
        facts.devices[i].bus = last_component(sits_on[i]);
}

/// Whether an entry of query-pci is this root bus: one of its devices is known to sit there, or
/// none is known to sit elsewhere.
bool guest_survey::state::belongs_to(const qapi::pci_root& root, const pci_bus& bus) const {
    bool elsewhere = false;
    for (const auto& function : root.functions) {
        const auto& id = function.qdev_id;
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
    if (!pci) return;
    for (const auto& root : *pci) {
        if (!belongs_to(root, bus)) continue;
        for (const auto& function : root.functions)
            if (function.qdev_id.empty())
                found.push_back({bus.path, {}, function.slot * 8U + function.function});
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
    const bool nothing = buses.empty() && (!pci || pci->empty()) && buses_told;
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
    if (told && of_the_machine && !pci) return "this QEMU does not show what is on the bus";
    return {};
}

guest_survey::guest_survey(std::string version) : state_(std::make_unique<state>()) {
    state_->facts.version = std::move(version);
}
guest_survey::guest_survey(guest_survey&&) noexcept = default;
guest_survey& guest_survey::operator=(guest_survey&&) noexcept = default;
guest_survey::~guest_survey() = default;

std::vector<qapi::request> guest_survey::next() {
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
    std::vector<qapi::request> requests;
    for (const auto& each : s.batch)
        requests.push_back(each.request);
    return requests;
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
