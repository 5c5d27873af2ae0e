#pragma once

#include "qapi/qom.hpp"

#include <optional>
#include <string>
#include <utility>
#include <vector>

namespace vmplug::qapi {

/// Adds a device. QEMU answers when it has it; the guest then finds it or does not.
///
/// Shape: `properties` are the device's further ones, each a name and its value's JSON text, sent
/// in their order. Source: qapi/qdev.json, since 0.13. Its further arguments depend on the driver,
/// so the schema knows three of them.
struct device_add {
    static constexpr std::string_view name = "device_add";
    using reply = nothing;

    std::string driver;
    std::string id;                  ///< empty: none, and it can be named by its path alone
    std::optional<std::string> bus;  ///< nothing: QEMU chooses one
    std::optional<std::string> host; ///< of vfio-pci and pci-assign: the host's function
    std::vector<std::pair<std::string, std::string>> properties;

    std::string encode() const;
    static result<reply> parse(const nlohmann::json& answer);
};

/// Asks the guest to let go of a device. That it was asked is all that the answer says; when it
/// has, there is `device_deleted`, a while after QOM has ceased to list the device.
///
/// Refused with the class DeviceNotFound when there is no such device, and by today's QEMUs with
/// GenericError when it was asked for already.
/// Source: qapi/qdev.json, since 0.14.
struct device_del {
    static constexpr std::string_view name = "device_del";
    using reply = nothing;

    std::string id; ///< or a QOM path (since 2.5)

    std::string encode() const;
    static result<reply> parse(const nlohmann::json& answer);
};

/// The properties of a device model. QEMU loads the model's module for it, and no other.
///
/// Source: qapi/qdev.json, since 1.2.
struct device_list_properties {
    static constexpr std::string_view name = "device-list-properties";
    using reply = std::vector<object_property>;

    std::string type;

    std::string encode() const;
    static result<reply> parse(const nlohmann::json& answer);
};

} // namespace vmplug::qapi
