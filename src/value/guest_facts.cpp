#include <vmplug/guest_facts.hpp>

#include <algorithm>

namespace vmplug {
namespace {

template <class Row>
const Row* find_row(const std::vector<Row>& rows, std::string Row::*key, std::string_view wanted) {
    const auto found = std::ranges::find(rows, wanted, key);
    return found == rows.end() ? nullptr : &*found;
}

} // namespace

const device_model::property* device_model::find(std::string_view name) const {
    return find_row(properties, &property::name, name);
}

const guest_device* guest_facts::find_device(std::string_view qdev_id) const {
    return qdev_id.empty() ? nullptr : find_row(devices, &guest_device::qdev_id, qdev_id);
}

const guest_port* guest_facts::find_port(std::string_view bus) const {
    return find_row(ports, &guest_port::bus, bus);
}

} // namespace vmplug
