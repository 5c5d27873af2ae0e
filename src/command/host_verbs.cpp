#include "command/device_names.hpp"
#include "command/handlers.hpp"
#include "command/json_text.hpp"
#include "command/terminal_text.hpp"
#include "command/trees.hpp"

#include <algorithm>

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

/// Why a function cannot be assigned as it stands, empty when it can.
std::string why_not(const host_facts& host, const pci_function& function) {
    if (function.is_bridge()) return "a bridge belongs to the host";
    if (!function.iommu_group) return "no IOMMU group";
    if (const auto users = host.group_users.find(*function.iommu_group);
        users != host.group_users.end())
        return "in use by process " + std::to_string(users->second.front().pid);
    if (const auto uses = host.critical.find(function.address); uses != host.critical.end())
        return "the host needs it: " + uses->second.front();
    for (const auto& verdict : judge_group(host, function))
        if (!verdict.viable)
            return "its neighbour " + format_address(verdict.address) + ": " + verdict.reason +
                   " (--with-group takes it along)";
    return {};
}

/// Whom the function belongs to: a guest, a VFIO user, or the host.
json owner(const host_facts& host, const std::vector<operation_record>& assigned,
           const pci_function& function) {
    for (const auto& record : assigned) {
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

json to_json(const host_facts& host, const std::vector<operation_record>& assigned,
             const device_names& names, const pci_function& function) {
    json value{{"address", format_address(function.address)},
               {"ids", hexadecimal(function.vendor) + ":" + hexadecimal(function.device)},
               {"name", names.name(function)},
               {"class", names.class_name(function)},
               {"driver", function.driver},
               {"netdevs", function.netdevs},
               {"why_not", why_not(host, function)},
               {"owner", owner(host, assigned, function)}};
    value["iommu_group"] = function.iommu_group ? json(*function.iommu_group) : json();
    value["assignable"] = value["why_not"] == "";
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
    const auto uses = host.critical.find(function.address);
    value["critical"] = uses == host.critical.end() ? json::array() : json(uses->second);
    value["virtual_functions"] = json::array();
    for (const auto& each : function.virtual_functions)
        value["virtual_functions"].push_back(format_address(each));
}

std::string owner_text(const json& value) {
    if (value.is_null()) return "";
    if (value.contains("guest")) return text_at(value, "guest") + ":" + text_at(value, "id");
    if (value.contains("pid")) return "pid " + text_at(value, "pid");
    return "vmplug";
}

std::string render_one(const json& device) {
    std::string text;
    const auto line = [&](const std::string& label, const std::string& value) {
        if (!value.empty()) text += label + escape_for_terminal(value) + "\n";
    };
    line("address    ", text_at(device, "address"));
    line("name       ", text_at(device, "name") + " [" + text_at(device, "ids") + "]");
    line("class      ", text_at(device, "class"));
    line("driver     ", text_at(device, "driver"));
    line("netdev     ", join(device["netdevs"], ","));
    line("group      ", text_at(device, "iommu_group"));
    for (const auto& member : device["group"])
        line("           ", text_at(member, "address") + ": " + text_at(member, "reason") +
                                (member.value("viable", false) ? "" : " (stands in the way)"));
    for (const auto& use : device["critical"])
        line("critical   ", use.get<std::string>());
    line("VFs        ", join(device["virtual_functions"], ","));
    line("owner      ", owner_text(device["owner"]));
    line("assignable ",
         device.value("assignable", false) ? "yes" : "no: " + text_at(device, "why_not"));
    return text;
}

} // namespace

command_task run_devices(command_context& context, const invocation& asked) {
    const auto host = context.control.read_host(false, false);
    const auto assigned = context.control.assignments();
    // Without rights on the journal the owners that only it knows are missing; the rest is worth
    // showing.
    const auto& known = assigned.has_value() ? *assigned : std::vector<operation_record>();
    const device_names names;
    auto result = succeeded({{"devices", json::array()},
                             {"detail", asked.has("DEVICE")},
                             {"tree", asked.has("--tree")}});
    if (asked.has("DEVICE")) {
        const auto address = find_device(host, asked.value("DEVICE"));
        if (address.has_error()) co_return failed(address.error());
        const auto* function = host.find(*address);
        auto value = to_json(host, known, names, *function);
        add_detail(host, *function, value);
        result.value["devices"].push_back(std::move(value));
        co_return result;
    }
    for (const auto& function : host.functions)
        result.value["devices"].push_back(to_json(host, known, names, function));
    co_return result;
}

std::string render_devices(const json& value, const text_style& style) {
    if (!value.contains("devices")) return {};
    if (value["devices"].empty()) return "This host has no PCI functions.\n";
    if (value.value("detail", false)) return render_one(value["devices"].front());
    if (value.value("tree", false)) return draw(picture_host(value["devices"]), style);
    text_table table(
        {"ADDRESS", "IDS", "DRIVER", "NETDEV", "GROUP", "OWNER", "ASSIGNABLE", "NAME"});
    for (const auto& device : value["devices"]) {
        const auto name = text_at(device, "name");
        const bool assignable = device.value("assignable", false);
        table.add({text_at(device, "address"),
                   text_at(device, "ids"),
                   text_at(device, "driver"),
                   join(device["netdevs"], ","),
                   text_at(device, "iommu_group"),
                   {owner_text(device["owner"]), ink::doubtful},
                   assignable ? table_cell("yes", ink::good) : table_cell("no", ink::quiet),
                   assignable ? name : name + " (" + text_at(device, "why_not") + ")"});
    }
    return table.format(style);
}

command_task run_explain(command_context&, const invocation& asked) {
    auto result = succeeded({{"codes", json::array()}, {"detail", asked.has("CODE")}});
    const auto add = [&](const error_entry& entry) {
        result.value["codes"].push_back(
            {{"code", entry.name}, {"cause", entry.cause}, {"remedy", entry.remedy}});
    };
    if (!asked.has("CODE")) {
        std::ranges::for_each(error_catalogue(), add);
        co_return result;
    }
    const auto code = asked.value("CODE");
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

std::string render_explain(const json& value, const text_style& style) {
    if (!value.contains("codes")) return {};
    if (value.value("detail", false)) {
        const auto& entry = value["codes"].front();
        return text_at(entry, "code") + "\n\n" + text_at(entry, "cause") + "\n\n" +
               text_at(entry, "remedy") + "\n";
    }
    text_table table({"CODE", "CAUSE"});
    for (const auto& entry : value["codes"])
        table.add({text_at(entry, "code"), text_at(entry, "cause")});
    return table.format(style);
}

} // namespace vmplug
