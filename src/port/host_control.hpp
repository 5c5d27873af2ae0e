#pragma once

#include "port/leases.hpp"
#include "port/netdev_state.hpp"

#include <vmplug/error.hpp>
#include <vmplug/operation.hpp>

#include <boost/asio/awaitable.hpp>

#include <chrono>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

namespace vmplug {

/// The host, as steps act on it.
///
/// What can block in the kernel (any write to sysfs, rtnetlink, and reading driver_override, which
/// takes the device's lock) runs outside this process and has a deadline: `host_stuck` when it
/// expires, with the state unknown and the act still under way. What cannot block is a plain call.
class host_control {
public:
    template <class T>
    using task = boost::asio::awaitable<result<T>>;

    virtual ~host_control() = default;

    /// The same host for one operation: what is still under way in the kernel keeps these leases,
    /// also when nobody waits for it any more. They have to outlive what is returned.
    virtual std::unique_ptr<host_control> holding(const std::vector<const lease*>& leases) = 0;

    virtual task<void> write(std::string path, std::string value,
                             std::chrono::milliseconds deadline) = 0;
    virtual task<std::string> read(std::string path, std::chrono::milliseconds deadline) = 0;

    /// modprobe. Errors: `driver_unavailable` with its words.
    virtual task<void> load_module(std::string name, std::chrono::milliseconds deadline) = 0;

    /// Whether modprobe finds a module of that name, or for that modalias. Loads nothing.
    virtual task<bool> finds_module(std::string name, std::chrono::milliseconds deadline) = 0;

    /// The network interfaces below a PCI function ("0000:01:00.0"), in all network namespaces.
    virtual task<netdev_survey> read_netdevs(std::string device,
                                             std::chrono::milliseconds deadline) = 0;

    /// Errors: `host_io` with the kernel's reason, such as EBUSY (it is up), EEXIST (another has
    /// the name), EADDRNOTAVAIL (no such MAC); ESTALE when the namespace is not the one that was
    /// meant.
    virtual task<void> change_netdev(netdev_change change, std::chrono::milliseconds deadline) = 0;

    /// Whether a namespace is still the one that it was.
    virtual bool is_there(const network_namespace& which) = 0;

    /// The names of the interfaces below a PCI function in our namespace. Cheap, to be polled.
    virtual std::vector<std::string> list_netdevs(const std::string& device) = 0;

    /// The first line of a file of sysfs whose reading cannot block, empty when it cannot be read.
    virtual std::string read_line(const std::string& path) = 0;

    /// The last component of a link's target, nothing when there is no such link.
    virtual std::optional<std::string> read_link_name(const std::string& path) = 0;
    virtual bool exists(const std::string& path) = 0;

    /// RLIMIT_MEMLOCK of a process, soft and hard, in bytes; ~0 is unlimited.
    struct memlock {
        std::uint64_t soft_bytes;
        std::uint64_t hard_bytes;
    };
    virtual result<memlock> read_memlock(std::int32_t pid) = 0;
    virtual result<void> set_memlock(std::int32_t pid, memlock limits) = 0;

    /// Whether that very process still runs: pid, start time and boot.
    virtual bool is_alive(const process_identity& process) = 0;
};

} // namespace vmplug
