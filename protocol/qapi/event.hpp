#pragma once

#include <vmplug/error.hpp>

#include <nlohmann/json_fwd.hpp>

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <variant>

namespace vmplug::qapi {

/// QEMU has the device no more; its id is free again.
///
/// Shape: `device` is its id, nothing when it has none, as what is below a device that was removed.
/// Source: DEVICE_DELETED in qapi/qdev.json, since 1.5.
struct device_deleted {
    std::optional<std::string> device;
    std::string path; ///< QOM path, as it was

    bool operator==(const device_deleted&) const = default;
};

/// The guest was asked to let go of the device, and refuses.
///
/// QEMU tells it of memory, and of what a pSeries guest refuses; a guest that leaves a PCI function
/// where it is may cause none.
/// Source: DEVICE_UNPLUG_GUEST_ERROR in qapi/qdev.json, since 6.2; hw/acpi/memory_hotplug.c,
/// hw/ppc/spapr.c and hw/ppc/spapr_drc.c of QEMU.
struct device_unplug_guest_error {
    std::optional<std::string> device;
    std::string path;

    bool operator==(const device_unplug_guest_error&) const = default;
};

/// The guest's ACPI reported how it fared with a hot-plug, of memory or of a processor.
///
/// Shape: `source` is the event that it is about (3: ejection was asked for, 0x103: is done by the
/// guest itself), `status` 0 for success.
/// Source: ACPI_DEVICE_OST in qapi/acpi.json, since 2.1; _OST in the ACPI specification, 6.3.5.
struct acpi_device_ost {
    std::optional<std::string> device; ///< nothing: the slot is empty
    std::string slot;
    std::string slot_type; ///< "DIMM", "CPU"
    std::int64_t source = 0;
    std::int64_t status = 0;

    bool operator==(const acpi_device_ost&) const = default;
};

/// The machine was reset. QEMU then completes every unplug that it was asked for, and says so of
/// each.
///
/// Shape: `guest` says that the guest asked for it (since 2.10), `reason` names why (since 4.0,
/// ShutdownCause: "guest-reset", "host-qmp-system-reset" ...).
/// Source: RESET in qapi/run-state.json, since 0.12.
struct reset {
    std::optional<bool> guest;
    std::optional<std::string> reason;

    bool operator==(const reset&) const = default;
};

/// The machine has shut down; unless it was started with -no-shutdown, QEMU is about to end.
///
/// Shape: as of `reset`.
/// Source: SHUTDOWN in qapi/run-state.json, since 0.12.
struct shutdown {
    std::optional<bool> guest;
    std::optional<std::string> reason;

    bool operator==(const shutdown&) const = default;
};

/// The processors stand still. Source: STOP in qapi/run-state.json, since 0.12.
struct stop {
    bool operator==(const stop&) const = default;
};

/// The processors run again. Source: RESUME in qapi/run-state.json, since 0.12.
struct resume {
    bool operator==(const resume&) const = default;
};

/// A migration asked the guest to let go of the primary of a failover pair.
///
/// Source: UNPLUG_PRIMARY in qapi/migration.json, since 4.2.
struct unplug_primary {
    std::string device_id;

    bool operator==(const unplug_primary&) const = default;
};

/// Any other event.
struct other {
    std::string name;

    bool operator==(const other&) const = default;
};

using event = std::variant<device_deleted, device_unplug_guest_error, acpi_device_ost, reset,
                           shutdown, stop, resume, unplug_primary, other>;

/// Reads an event: its name, and its data (null when it has none).
///
/// Errors: `protocol_violation` for one of the above that lacks a member or has one of another
/// type. What else it has is passed over: QEMU adds members.
result<event> parse_event(std::string_view name, const nlohmann::json& data);

/// Whether the event is about the device that was added with this id.
bool is_about(const event& happened, std::string_view qdev_id);

} // namespace vmplug::qapi
