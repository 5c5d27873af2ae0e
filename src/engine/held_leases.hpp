#pragma once

#include "port/clock.hpp"
#include "port/guests.hpp"
#include "port/leases.hpp"

#include <vmplug/host_facts.hpp>

#include <boost/asio/awaitable.hpp>

#include <chrono>
#include <functional>
#include <string>
#include <vector>

namespace vmplug {

/// What an operation has for itself while it runs, across processes: the device's IOMMU group and
/// the guest. The kernel takes a lease back when its process ends, however it ends, but not while a
/// write of that process still hangs in it.
///
/// Order: the device first, without waiting; then the guest, where operations take turns. So nobody
/// waits while holding what another waiting one wants.
class held_leases {
public:
    held_leases(lease_table& table, clock& time) : table_(&table), time_(&time) {}

    /// Errors: `device_busy` naming the holder; `host_stuck`: its process has ended, and the kernel
    /// is still at what it was asked for.
    result<void> take_device(const host_facts& host, const host_address& device);

    /// Who has the device now, for a dry run, which takes nothing; empty: nobody.
    std::string find_holder(const host_facts& host, const host_address& device) const;

    /// Waits for its turn. Errors: `guest_not_ready` naming the holder when `most` has passed.
    boost::asio::awaitable<result<void>> take_guest(guest_reference guest,
                                                    std::chrono::milliseconds most,
                                                    std::function<bool()> stop_requested);

    /// For who acts under them.
    std::vector<const lease*> all() const;

private:
    lease_table* table_;
    clock* time_;
    std::vector<std::unique_ptr<lease>> held_;
};

} // namespace vmplug
