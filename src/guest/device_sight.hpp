#pragma once

#include <nlohmann/json_fwd.hpp>

#include <string_view>

namespace vmplug {

/// Whether qom-list of /machine/peripheral names the device.
bool lists_device(const nlohmann::json& qom_list, std::string_view qdev_id);

/// Whether query-pci shows addresses in the device's BARs: the guest has configured it.
bool shows_configured(const nlohmann::json& query_pci, std::string_view qdev_id);

} // namespace vmplug
