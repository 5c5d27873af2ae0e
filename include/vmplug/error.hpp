#pragma once

#include <vmplug/advice.hpp>

#include <boost/system/result.hpp>

#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace vmplug {

/// What went wrong, as a number that scripts may branch on. A code once published keeps its
/// meaning. `code_name` gives its text form; `explain` gives its cause.
enum class error_code {
    // what the caller asked for
    invalid_argument,
    permission_denied,
    cancelled,
    // the host's devices
    device_not_found,
    device_ambiguous,
    device_is_bridge,
    device_is_display,
    device_critical,
    device_assigned,
    device_busy,
    device_in_use,
    device_unclear,
    device_dead,
    group_not_viable,
    no_iommu,
    interrupt_shared,
    twin_unbound,
    driver_unavailable,
    bind_failed,
    node_missing,
    node_unreachable,
    host_stuck,
    host_io,
    // the guest and its monitor
    vm_not_found,
    vm_ambiguous,
    vm_unproven,
    vm_foreign,
    no_monitor,
    monitor_gone,
    monitor_busy,
    monitor_silent,
    monitor_unusable,
    protocol_violation,
    limit_exceeded,
    timed_out,
    connection_lost,
    command_failed,
    no_free_port,
    port_unusable,
    duplicate_id,
    model_unavailable,
    property_unknown,
    guest_not_ready,
    guest_rejected,
    guest_iommu,
    unplug_pending,
    unplug_refused,
    not_attached,
    memlock_too_low,
    // the journal
    journal_unavailable,
    journal_corrupt,
    operation_conflict,
    // a bug
    internal,
};

/// An expected failure.
///
/// Shape: `where` is a sysfs path, a socket's path, a QMP command followed by a qdev_id, or what
/// was asked for in the field that `about` names; `text` is one sentence and carries QEMU's class
/// and desc verbatim where QEMU refused; `remedy` is what the reader can do outside of vmplug,
/// `advised` what vmplug can do. Without both it is what helps against the code in general. All
/// three may hold bytes from outside: escape them before they reach a terminal.
struct error {
    error_code code = error_code::internal;
    std::string where;
    std::string text;
    std::string remedy;
    advice advised = advice::none;
    request_field about = request_field::none;
};

template <class T>
using result = boost::system::result<T, error>;

/// Boost.System's hook for `result::value()` on a failure. A caller that did not look at the error
/// first has a bug: this throws std::logic_error.
[[noreturn]] void throw_exception_from_error(const error& failure, const boost::source_location&);

/// One row of the catalogue.
struct error_entry {
    error_code code;
    std::string_view name;  ///< text form, e.g. "no_free_port"
    std::string_view cause; ///< why this happens, in one or two sentences
};

/// The whole catalogue, in the order of `error_code`.
std::span<const error_entry> error_catalogue();

const error_entry& explain(error_code code);
std::string_view code_name(error_code code);

/// Finds a row by its text form; nullptr when there is none.
const error_entry* find_error(std::string_view name);

/// "; did you mean 'web'?" for the name that is most like a mistyped word, at most two letters
/// apart; empty when there is none.
std::string did_you_mean(std::string_view word, const std::vector<std::string>& names);

} // namespace vmplug
