#include "command/handle/handlers.hpp"
#include "command/handle/host_view.hpp"
#include "command/render/device_names.hpp"
#include "command/render/json_text.hpp"
#include "command/render/remedies.hpp"
#include "judge/judge_device.hpp"

#include <algorithm>
#include <optional>

namespace vmplug {
namespace {

using nlohmann::json;

std::string hexadecimal(unsigned value) {
    constexpr char digits[] = "0123456789abcdef";
    std::string text;
    for (int shift = 12; shift >= 0; shift -= 4)
        text += digits[(value >> shift) & 15];
    return text;
}

/// What stands in the way of assigning a function as it stands, nothing when it can be: the first
/// refusal that an attach would get.
std::optional<finding> find_obstacle(const situation& seen, const pci_function& function) {
    const auto judged = judge_device(device_question(), seen, function);
    const auto refused = std::ranges::find(judged.findings, verdict::refused, &finding::says);
    return refused == judged.findings.end() ? std::nullopt : std::optional(*refused);
}

/// Whom the function belongs to: a guest, a VFIO user, or the host.
json owner(const situation& seen, const pci_function& function) {
    const auto& host = seen.host;
    for (const auto& record : seen.assigned) {
        const auto device = record.subject.find("device");
        if (device == record.subject.end() || device->second != format_address(function.address))
            continue;
        json found = record.subject;
        found["operation"] = record.number;
        return found;
    }
    if (!function.iommu_group || !is_assignment_driver(function.driver)) return nullptr;
    const auto users = host.group_users.find(*function.iommu_group);
    if (users == host.group_users.end()) return nullptr;
    return {{"pid", users->second.front().pid}, {"command", users->second.front().command}};
}

json to_json(const situation& seen, const device_names& names, const pci_function& function) {
    const auto obstacle = find_obstacle(seen, function);
    json value{{"address", format_address(function.address)},
               {"ids", hexadecimal(function.vendor) + ":" + hexadecimal(function.device)},
               {"name", names.name(function)},
               {"class", names.class_name(function)},
               {"driver", function.driver},
               {"netdevs", function.netdevs},
               {"alternative_names", function.alternative_names},
               {"bridge", function.is_bridge()},
               {"why_not", obstacle ? obstacle->evidence : ""},
               {"why_not_code", obstacle ? json(code_name(obstacle->code)) : json()},
               {"owner", owner(seen, function)}};
    value["iommu_group"] = function.iommu_group ? json(*function.iommu_group) : json();
    value["assignable"] = !obstacle;
    value["upstream"] = json::array();
    for (const auto& each : function.upstream)
        value["upstream"].push_back(format_address(each));
    return value;
}

/// One function in full.
void add_detail(const host_facts& host, const pci_function& function, json& value) {
    value["group"] = json::array();
    for (const auto& verdict : judge_group(host, function))
        value["group"].push_back({{"address", format_address(verdict.address)},
                                  {"driver", verdict.driver},
                                  {"viable", verdict.viable},
                                  {"reason", verdict.reason}});
    value["critical"] = json::array();
    if (const auto uses = host.uses.find(function.address); uses != host.uses.end())
        for (const auto& use : uses->second)
            value["critical"].push_back(use.text);
    value["virtual_functions"] = json::array();
    for (const auto& each : function.virtual_functions)
        value["virtual_functions"].push_back(format_address(each));
}

} // namespace

command_task run_devices(command_context& context, const invocation& asked) {
    auto seen = look_at_host(context, false);
    const device_names names;
    auto result = succeeded({{"devices", json::array()},
                             {"detail", asked.has("DEVICE")},
                             {"tree", asked.has("--tree")}});
    if (asked.has("DEVICE")) {
        const auto address = find_device(seen.host, asked.text("DEVICE"));
        if (address.has_error()) co_return failed(address.error());
        seen.host.abilities[*address] = context.control.read_abilities(seen.host, *address);
        const auto* function = seen.host.find(*address);
        auto value = to_json(seen, names, *function);
        add_detail(seen.host, *function, value);
        result.value["devices"].push_back(std::move(value));
        co_return result;
    }
    for (const auto& function : seen.host.functions)
        result.value["devices"].push_back(to_json(seen, names, function));
    co_return result;
}

command_task run_explain(command_context&, const invocation& asked) {
    auto result = succeeded({{"codes", json::array()}, {"detail", asked.has("CODE")}});
    const auto add = [&](const error_entry& entry) {
        result.value["codes"].push_back(
            {{"code", entry.name}, {"cause", entry.cause}, {"remedy", remedy_of(entry.code)}});
    };
    if (!asked.has("CODE")) {
        std::ranges::for_each(error_catalogue(), add);
        co_return result;
    }
    const auto code = asked.text("CODE");
    const auto* entry = find_error(code);
    if (!entry) {
        std::vector<std::string> names;
        for (const auto& each : error_catalogue())
            names.emplace_back(each.name);
        co_return failed({error_code::invalid_argument, code.substr(0, 100),
                          "there is no such code" + did_you_mean(code, names),
                          "`vmplug explain` lists all"});
    }
    add(*entry);
    co_return result;
}

} // namespace vmplug
