#include "step/field_check.hpp"
#include "step/netdev_text.hpp"
#include "step/set_binding.hpp"

namespace vmplug {

fields binding_state::format() const {
    fields values{{"driver", driver}, {"driver_override", driver_override}};
    if (!module.empty()) values["module"] = module;
    if (!ids.empty()) values["ids"] = ids;
    if (netdevs.empty()) return values;
    values["netdev"] = netdevs.front().name;
    netdev_state name_alone;
    name_alone.name = netdevs.front().name;
    if (netdevs.size() > 1 || netdevs.front() != name_alone)
        values["netdevs"] = format_netdevs(netdevs);
    return values;
}

result<binding_state> binding_state::parse(const fields& values) {
    const auto fine = field_check(values)
                          .may_have("driver", is_component)
                          .may_have("driver_override", is_component)
                          .may_have("module", is_component)
                          .may_have("ids", is_id_list)
                          .may_have("netdev", is_netdev_name)
                          .verdict();
    if (fine.has_error()) return fine.error();
    auto netdevs = parse_netdevs(field(values, "netdevs"));
    if (netdevs.has_error()) return netdevs.error();
    if (const auto& name = field(values, "netdev"); netdevs->empty() && !name.empty())
        netdevs->emplace_back().name = name;
    return binding_state{field(values, "driver"), field(values, "driver_override"),
                         field(values, "module"), field(values, "ids"), std::move(*netdevs)};
}

step set_binding_arguments::to_step() const {
    auto values = target.format();
    values["device"] = format_address(device);
    if (!new_id.empty()) {
        values["new_id"] = new_id;
        values.erase("driver_override");
    }
    // That it is there, even empty, is what tells a way home.
    if (is_home) values.try_emplace("netdev");
    return {kind, std::move(values)};
}

result<set_binding_arguments> set_binding_arguments::parse(const fields& values) {
    const auto fine = field_check(values)
                          .has("device", is_device_address)
                          .may_have("new_id", is_id_list)
                          .verdict();
    if (fine.has_error()) return fine.error();
    auto target = binding_state::parse(values);
    if (target.has_error()) return target.error();
    return set_binding_arguments{*parse_host_address(field(values, "device")), std::move(*target),
                                 field(values, "new_id"), values.contains("netdev")};
}

} // namespace vmplug
