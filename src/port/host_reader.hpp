#pragma once

#include <vmplug/guest_facts.hpp>
#include <vmplug/host_facts.hpp>
#include <vmplug/process_view.hpp>

#include <boost/asio/awaitable.hpp>

#include <optional>

namespace vmplug {

/// The host, as planning sees it. Nothing is changed by a look, which begins after it was asked
/// for: it shows what its caller has done before.
class host_reader {
public:
    template <class T>
    using task = boost::asio::awaitable<T>;

    virtual ~host_reader() = default;

    /// Everything that planning needs: functions, groups, drivers, processes, network, storage.
    virtual task<host_facts> read_host() = 0;

    /// The functions with every name that a person may know one by, and nothing else.
    virtual task<host_facts> read_names() = 0;

    /// The functions alone.
    virtual task<host_facts> read_functions() = 0;

    /// One function's configuration space, and who shares its interrupt line.
    virtual task<function_abilities> read_abilities(const host_facts& host,
                                                    host_address device) = 0;

    /// What a guest's QEMU sees of a device of the host; nothing when its process is not known, or
    /// the device is in no IOMMU group.
    virtual task<std::optional<process_view>>
    view_device(const host_facts& host, std::optional<qemu_process> qemu, host_address device) = 0;

    /// The function's address behind a path of sysfs by which QEMU was given a device; nothing when
    /// there is none.
    virtual std::optional<host_address> resolve_device(const std::string& path) = 0;
};

} // namespace vmplug
