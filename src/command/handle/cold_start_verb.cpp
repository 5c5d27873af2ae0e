#include "command/handle/handlers.hpp"
#include "command/render/json_text.hpp"
#include "judge/judge_guest.hpp"
#include "plan/cold_start.hpp"
#include "plan/plan_attach.hpp"

#include <algorithm>

namespace vmplug {
namespace {

using nlohmann::json;

/// What the guest has assigned now, on the buses that it has.
void take_assigned(const guest_view& view, cold_start& wanted) {
    const auto& facts = view.facts;
    wanted.express = facts.machine_type.find("q35") != std::string::npos;
    if (!facts.vfio_pci && facts.pci_assign) wanted.model = "pci-assign";
    for (const auto& port : facts.ports)
        wanted.in_use.push_back(port.bus);
    for (const auto& device : facts.devices)
        if (const auto host = parse_host_address(device.host); host.has_value())
            wanted.devices.push_back(
                {*host, device.qdev_id, wanted.express ? device.bus : std::string()});
}

result<void> add_devices(const host_facts& host, std::span<const std::string> names,
                         cold_start& wanted) {
    for (const auto& name : names) {
        const auto device = find_device(host, name);
        if (device.has_error()) return device.error();
        wanted.devices.push_back({*device, default_id(*device), {}});
    }
    return {};
}

} // namespace

command_task run_cmdline(command_context& context, const invocation& asked) {
    const auto names = asked.texts("NAME");
    const bool is_new = asked.has("--new");
    cold_start wanted;
    if (const auto ports = asked.number("--ports"))
        wanted.free_ports = static_cast<std::size_t>(*ports);
    if (is_new) {
        wanted.express = asked.text("--machine") != "pc";
    } else {
        const auto view = co_await context.control.query_guest(names.front());
        if (view.has_error()) co_return failed(view.error());
        take_assigned(*view, wanted);
    }
    if (asked.has("--driver")) wanted.model = asked.text("--driver");
    const auto devices = std::span(names).subspan(is_new ? 0 : 1);
    const auto added = add_devices(context.control.read_host(false, false), devices, wanted);
    if (added.has_error()) co_return failed(added.error());
    co_return succeeded({{"arguments", cold_start_arguments(wanted)}});
}

} // namespace vmplug
