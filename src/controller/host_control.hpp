#pragma once

#include <vmplug/error.hpp>
#include <vmplug/operation.hpp>

#include <boost/asio/awaitable.hpp>

#include <chrono>
#include <cstdint>
#include <optional>
#include <string>

namespace vmplug {

/// The host, as steps act on it.
///
/// What can block in the kernel (any write to sysfs, renaming, and reading driver_override, which
/// takes the device's lock) runs outside this process and has a deadline: `host_stuck` when it
/// expires, with the state unknown and the act still under way. What cannot block is a plain call.
class host_control {
public:
    template <class T>
    using task = boost::asio::awaitable<result<T>>;

    virtual ~host_control() = default;

    virtual task<void> write(std::string path, std::string value,
                             std::chrono::milliseconds deadline) = 0;
    virtual task<std::string> read(std::string path, std::chrono::milliseconds deadline) = 0;

    /// modprobe. Errors: `driver_unavailable` with its words.
    virtual task<void> load_module(std::string name, std::chrono::milliseconds deadline) = 0;

    /// Errors: `host_io` with the kernel's reason: EBUSY while it is up, EEXIST when another has
    /// the name.
    virtual task<void> rename_netdev(std::string name, std::string new_name,
                                     std::chrono::milliseconds deadline) = 0;

    /// The last component of a link's target, nothing when there is no such link.
    virtual std::optional<std::string> read_link_name(const std::string& path) = 0;
    virtual bool exists(const std::string& path) = 0;

    /// The first name in a directory, nothing when it is empty or not there.
    virtual std::optional<std::string> first_entry(const std::string& path) = 0;

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
