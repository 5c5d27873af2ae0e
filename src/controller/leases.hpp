#pragma once

#include "controller/guest_access.hpp"
#include "port/file_lock.hpp"

#include <vmplug/host_facts.hpp>

#include <boost/asio/awaitable.hpp>

#include <chrono>
#include <functional>
#include <string>
#include <vector>

namespace vmplug {

/// What an operation has for itself while it runs, across processes: the device's IOMMU group and
/// the guest. The kernel takes a lease back when its process ends, however it ends.
///
/// Order: the device first, without waiting; then the guest, where operations take turns. So nobody
/// waits while holding what another waiting one wants.
class leases {
public:
    /// `holder` says who we are, for whoever is refused.
    leases(std::string state_directory, std::string holder)
        : directory_(std::move(state_directory) + "/locks"), holder_(std::move(holder)) {}

    /// Errors: `device_busy` naming the holder.
    result<void> take_device(const host_facts& host, const host_address& device);

    /// Who has the device now, for a dry run, which takes nothing; empty: nobody.
    std::string find_holder(const host_facts& host, const host_address& device) const;

    /// Waits for its turn. Errors: `timed_out` is never returned; `guest_not_ready` naming the
    /// holder when `most` has passed.
    boost::asio::awaitable<result<void>> take_guest(guest_reference guest,
                                                    std::chrono::milliseconds most,
                                                    std::function<bool()> stop_requested);

private:
    std::string directory_;
    std::string holder_;
    std::vector<file_lock> held_;
};

} // namespace vmplug
