#pragma once

#include <string_view>

namespace vmplug {

/// What the reader can do where that is a thing that vmplug does, or is asked for. It is a value,
/// because not every reader has a command line: whoever shows it makes words of it
/// (`src/command/render/remedies.cpp` those of the command line), together with the `where` and the
/// `remedy` that stand beside it.
///
/// Shape: a name once published keeps its meaning; journals hold it.
enum class advice {
    none,
    of_code, ///< what helps against the code in general
    list_devices,
    list_guests,
    list_assignments,
    list_operations,
    list_bound,           ///< and what was attached has to be detached
    wait_for_operation,   ///< that is under way
    name_by_pid_or_force, ///< the guest; or go on without knowing its process
    force_where_done,     ///< what `remedy` says
    force_where_allowed,  ///< by what confines QEMU
    force_without_iommu,
    bind_first,          ///< the device that `where` names, then `remedy`
    bind_first_or_force, ///< where a rule of udev sees to the node
    attach_with_group,
    check_as_root,
    release,
    recover,
    recover_all,
    distrust_record,
    send_hmp_line,  ///< the guest has a human monitor alone
    use_own_option, ///< a property has a field of its own in the request
    free_interrupt_line,
    find_user, ///< of the device, its group or its interrupt line
    read_log_of_qemu,
};

/// "list_devices".
std::string_view advice_name(advice value);

/// `none` for a name that there is not, such as one of a later vmplug.
advice parse_advice(std::string_view name);

/// What of a request a failure is about, where `where` holds what was asked for.
enum class request_field { none, id, port, property };

} // namespace vmplug
