#pragma once

#include <vmplug/operation.hpp>
#include <vmplug/pci_address.hpp>

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace vmplug {

/// Which device model QEMU is asked for, and with it which host driver the device needs.
enum class assignment_driver {
    automatic,  ///< vfio-pci where QEMU has it, else pci-assign
    vfio_pci,   ///< model vfio-pci, host driver vfio-pci
    pci_assign, ///< model pci-assign (QEMU before 2.12), host driver pci-stub
};

/// How the host's driver for the assignment is told that it may have the device.
enum class binding_way {
    automatic,       ///< driver_override where the kernel has it (3.16), else new_id
    driver_override, ///< for this device alone
    new_id,          ///< for all devices of its ids, taken back at once: the way of 2010
};

/// What an attach is asked to do.
struct attach_request {
    host_address device;
    std::string id;   ///< qdev_id; empty: made from the address, e.g. "host-0000-01-00.0"
    std::string port; ///< bus of the guest; empty: a free one is chosen
    assignment_driver driver = assignment_driver::automatic;
    binding_way binding = binding_way::automatic;
    bool with_group = false; ///< prepare the neighbours of the IOMMU group too
    bool force = false;      ///< although the host depends on the device
    std::optional<std::uint32_t>
        uid;           ///< whose the guest's process has to be; nothing: ours or root's
    fields properties; ///< further properties of device_add, as text; typed from QEMU's list
    std::chrono::milliseconds wait_guest{5000}; ///< how long to look for the guest's own view
};

/// What a detach is asked to do.
struct detach_request {
    std::string id;
    bool keep_bound = false;                     ///< leave the device on its assignment driver
    std::chrono::milliseconds wait_guest{10000}; ///< how long to wait for the guest to let go
};

/// What a bind is asked to do: the host's half of an attach alone.
struct bind_request {
    host_address device;
    assignment_driver driver = assignment_driver::vfio_pci; ///< pci_assign: host driver pci-stub
    binding_way binding = binding_way::automatic;
    bool with_group = false;
    bool force = false;
};

/// What would be done, or why nothing is.
///
/// Shape: either `refusals` is not empty and nothing may be done, or `steps` run in order.
/// `notes` say what was chosen and why, for a person.
struct plan {
    std::vector<step> steps;
    std::vector<error> refusals;
    std::vector<std::string> notes;
    fields subject;
    on_failure failure_policy = on_failure::roll_back;
    int forward_from = -1;
};

/// A record of what `planned` will do, as it is before it begins.
operation_record make_record(operation_kind kind, const plan& planned);

/// The names of the step kinds, as the journal keeps them.
namespace step_kind {
inline constexpr const char* load_module = "load_module"; ///< module
inline constexpr const char* set_binding = "set_binding"; ///< device, driver, driver_override ...
inline constexpr const char* set_memlock = "set_memlock"; ///< pid, size_bytes or soft_bytes ...
inline constexpr const char* device_add = "device_add";   ///< id, arguments (JSON)
inline constexpr const char* confirm_guest = "confirm_guest"; ///< id, wait_ms
inline constexpr const char* device_del = "device_del";       ///< id, wait_ms
} // namespace step_kind

} // namespace vmplug
