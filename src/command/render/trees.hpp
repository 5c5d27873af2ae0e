#pragma once

#include "command/text/picture.hpp"

#include <nlohmann/json_fwd.hpp>

#include <vector>

namespace vmplug {

/// The answer of `devices` as a picture: root ports and bridges with what is below them, IOMMU
/// groups of several functions as boxes, driver, netdev and owner.
std::vector<picture_node> picture_host(const nlohmann::json& devices);

/// The answer of `ports` as a picture: the guest's buses with what sits where.
std::vector<picture_node> picture_guest(const nlohmann::json& answer);

} // namespace vmplug
