#include "command/render/renderers.hpp"
#include "command/render/trees.hpp"
#include "command/text/json_member.hpp"
#include "command/text/terminal_text.hpp"

namespace vmplug {
namespace {

using nlohmann::json;

table_cell port_state(const json& port) {
    if (!port.value("takes_hot_add", false)) return {text_at(port, "why_not"), ink::quiet};
    if (port.value("free", false)) return {"free", ink::good};
    if (port.value("full", false)) return {"full: no slot is left", ink::doubtful};
    return {"occupied by " + join(port["occupants"], ", "), ink::doubtful};
}

} // namespace

std::string render_vms(const json& value, const text_style& style) {
    if (!value.contains("guests")) return {};
    if (value["guests"].empty()) return "No QEMU runs here.\n";
    text_table table({"NAME", "PID", "USER", "VERSION", "STATE", "MACHINE", "MONITORS"});
    for (const auto& guest : value["guests"]) {
        std::string monitors;
        for (const auto& each : guest["monitors"]) {
            monitors += (monitors.empty() ? "" : ", ") + text_at(each, "address");
            if (!text_at(each, "unusable").empty())
                monitors += " (unusable: " + text_at(each, "unusable") + ")";
            if (!each["held_by"].is_null())
                monitors += " (held by " + text_at(each["held_by"], "pid") + ": " +
                            text_at(each["held_by"], "command").substr(0, 40) + ")";
        }
        auto state = text_at(guest, "state");
        if (!text_at(guest, "waits_for").empty()) state = "waits for its manager";
        if (guest.contains("error")) state = "does not answer";
        table.add({text_at(guest, "name"),
                   text_at(guest, "pid"),
                   text_at(guest, "user"),
                   text_at(guest, "version"),
                   {state, state == "running" ? ink::good : ink::doubtful},
                   text_at(guest, "machine"),
                   monitors.empty() ? "none" : monitors});
    }
    return table.format(style);
}

std::string render_ports(const json& value, const text_style& style) {
    if (!value.contains("ports")) return {};
    if (value.value("tree", false)) return draw(picture_guest(value), style);
    text_table table({"BUS", "TYPE", "STATE"});
    for (const auto& port : value["ports"]) {
        table.add({text_at(port, "bus"), text_at(port, "type"), port_state(port)});
    }
    return table.format(style);
}

std::string render_list(const json& value, const text_style& style) {
    if (!value.contains("assignments")) return {};
    if (value["assignments"].empty()) return "vmplug has assigned no device.\n";
    text_table table({"DEVICE", "GUEST", "ID", "PORT", "STATE"});
    for (const auto& each : value["assignments"]) {
        auto state = text_at(each, "state");
        if (state == "guest_gone") state = "its guest is gone: run vmplug recover";
        table.add({text_at(each, "device"),
                   text_at(each, "guest"),
                   text_at(each, "id"),
                   text_at(each, "port"),
                   {state, state == "assigned" || state == "bound" ? ink::good : ink::doubtful}});
    }
    return table.format(style);
}

} // namespace vmplug
