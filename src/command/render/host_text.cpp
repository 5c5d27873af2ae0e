#include "command/render/renderers.hpp"
#include "command/render/trees.hpp"
#include "command/text/json_member.hpp"
#include "command/text/terminal_text.hpp"

#include <vmplug/error.hpp>

namespace vmplug {
namespace {

using nlohmann::json;

std::string owner_text(const json& value) {
    if (value.is_null()) return "";
    if (value.contains("guest")) return text_at(value, "guest") + ":" + text_at(value, "id");
    if (value.contains("pid")) return "pid " + text_at(value, "pid");
    return "vmplug";
}

/// "?": it could not be found out, which counts as no.
table_cell assignable_cell(const json& device) {
    if (device.value("assignable", false)) return {"yes", ink::good};
    const bool unclear = text_at(device, "why_not_code") == code_name(error_code::device_unclear);
    return unclear ? table_cell("?", ink::doubtful) : table_cell("no", ink::quiet);
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
    line("altname    ", join(device["alternative_names"], ","));
    line("group      ", text_at(device, "iommu_group"));
    for (const auto& member : device["group"])
        line("           ", text_at(member, "address") + ": " + text_at(member, "reason") +
                                (member.value("viable", false) ? "" : " (stands in the way)"));
    for (const auto& use : device["critical"])
        line("in use     ", use.get<std::string>());
    line("VFs        ", join(device["virtual_functions"], ","));
    line("owner      ", owner_text(device["owner"]));
    line("assignable ",
         device.value("assignable", false) ? "yes" : "no: " + text_at(device, "why_not"));
    return text;
}

} // namespace

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
                   assignable_cell(device),
                   assignable ? name : name + " (" + text_at(device, "why_not") + ")"});
    }
    return table.format(style);
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
