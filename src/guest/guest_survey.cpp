#include "guest/guest_survey.hpp"

#include "guest/device_sight.hpp"
#include "guest/port_rules.hpp"

#include <nlohmann/json.hpp>

#include <algorithm>
#include <functional>
#include <set>
#include <utility>

namespace vmplug {
namespace {

using nlohmann::json;

constexpr std::size_t bridge_depth_max = 32;

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

    guest_facts facts;
    json pci = json::array();
    std::vector<pending> batch;
    std::set<std::string> hot_plug_off; ///< QOM paths of ports that were started with hotplug=off
    int round = 0;
    bool finished = false;

    void ask(std::string command, std::string arguments, std::function<void(const json&)> take) {
        batch.push_back({{std::move(command), std::move(arguments)}, std::move(take)});
    }

    void ask_machine();
    void ask_models();
    void ask_devices();
    void take_devices(const json& reply, const std::string& parent, bool named);
    void place_devices();
    void place_function(const json& function);
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
        const auto total = number_of(r, "base-memory") + number_of(r, "plugged-memory");
        facts.ram_bytes = static_cast<std::uint64_t>(std::max<std::int64_t>(total, 0));
    });
    ask("qom-get", R"({"path":"/machine","property":"type"})", [this](const json& r) {
        if (r.is_string()) facts.machine_type = r.get<std::string>();
    });
    ask("query-pci", {}, [this](const json& r) {
        if (r.is_array()) pci = r;
    });
    ask("qom-list", R"({"path":"/machine/peripheral"})",
        [this](const json& r) { take_devices(r, "/machine/peripheral/", true); });
    ask("qom-list", R"({"path":"/machine/peripheral-anon"})",
        [this](const json& r) { take_devices(r, "/machine/peripheral-anon/", false); });
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

void guest_survey::state::ask_devices() {
    for (std::size_t i = 0; i < facts.devices.size(); ++i) {
        const auto& device = facts.devices[i];
        ask("qom-get", qom_get(device.qom_path, "parent_bus"), [this, i](const json& r) {
            if (r.is_string()) facts.devices[i].bus = last_component(r.get<std::string>());
        });
        if (is_single_slot(device.type))
            ask("qom-get", qom_get(device.qom_path, "hotplug"),
                [this, path = device.qom_path](const json& r) {
                    if (r == json(false)) hot_plug_off.insert(path);
                });
        if (is_assigned_type(device.type))
            ask("qom-get", qom_get(device.qom_path, "host"), [this, i](const json& r) {
                if (r.is_string()) facts.devices[i].host = r.get<std::string>();
            });
    }
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
}

void guest_survey::state::finish() {
    finished = true;
    place_devices();
    collect_ports(facts, hot_plug_off);
}

guest_survey::guest_survey(std::string version) : state_(std::make_unique<state>()) {
    state_->facts.version = std::move(version);
}
guest_survey::guest_survey(guest_survey&&) noexcept = default;
guest_survey& guest_survey::operator=(guest_survey&&) noexcept = default;
guest_survey::~guest_survey() = default;

std::vector<guest_query> guest_survey::next() {
    auto& s = *state_;
    s.batch.clear();
    if (s.round == 0) {
        s.ask_machine();
        s.ask_models();
    }
    if (s.round == 1) s.ask_devices();
    if (s.batch.empty() && !s.finished) s.finish();
    ++s.round;
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
