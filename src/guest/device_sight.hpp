#pragma once

#include "qapi/pci.hpp"
#include "qapi/qom.hpp"

#include <string_view>

namespace vmplug {

/// Whether qom-list of /machine/peripheral names the device.
bool lists_device(const qapi::qom_list::reply& listed, std::string_view qdev_id);

/// Whether query-pci shows addresses in the device's BARs: the guest has configured it.
bool shows_configured(const qapi::query_pci::reply& roots, std::string_view qdev_id);

} // namespace vmplug
