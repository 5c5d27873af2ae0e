#pragma once

#include "engine/engine.hpp"

#include <vmplug/host_facts.hpp>

#include <boost/asio/awaitable.hpp>

#include <memory>
#include <set>
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
    explicit held_leases(engine& shared) : shared_(&shared) {}

    /// Errors: `device_busy` naming the holder; `host_stuck`: its process has ended, and the kernel
    /// is still at what it was asked for.
    result<void> take_device(const host_facts& host, const host_address& device);

    /// Who has the device now, for a dry run, which takes nothing; empty: nobody.
    std::string find_holder(const host_facts& host, const host_address& device) const;

    /// Waits for its turn among the operations of this process, to look at the guest.
    /// Errors: `guest_not_ready` when the limit came first.
    boost::asio::awaitable<result<void>> take_turn(guest_reference guest, call_limit limit);

    /// In that turn, to act: waits for other processes. Errors: the same, naming the holder.
    boost::asio::awaitable<result<void>> take_guest(call_limit limit);

    /// The place at the guest that was taken last; nullptr: none was.
    guest_seat* seat() const { return seats_.empty() ? nullptr : seats_.back().get(); }

    /// For who acts under them.
    std::vector<const lease*> all() const;

private:
    engine* shared_;
    std::set<std::string> names_; ///< of what we have of devices and groups
    std::vector<std::unique_ptr<lease>> devices_;
    std::vector<std::shared_ptr<guest_seat>> seats_;
};

} // namespace vmplug
