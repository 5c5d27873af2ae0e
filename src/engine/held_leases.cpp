#include "engine/held_leases.hpp"

namespace vmplug {
namespace {

/// The group is the unit of ownership: two neighbours are one lease. A device that has left the
/// machine shows no group any more, and is still the one that somebody may be working on.
std::vector<std::string> device_keys(const host_facts& host, const host_address& device) {
    std::vector<std::string> keys{"device-" + format_address(device)};
    const auto* function = host.find(device);
    if (function && function->iommu_group)
        keys.push_back("group-" + std::to_string(*function->iommu_group));
    return keys;
}

} // namespace

result<void> held_leases::take_device(const host_facts& host, const host_address& device) {
    for (const auto& key : device_keys(host, device)) {
        if (!names_.insert(key).second) continue;
        lease_holder other;
        auto taken = shared_->at.leases.try_take(key, other);
        if (taken.has_error()) return taken.error();
        if (!*taken)
            return error{other.in_kernel ? error_code::host_stuck : error_code::device_busy,
                         format_address(device),
                         "another operation works on it: " + other.who,
                         {}};
        devices_.push_back(std::move(*taken));
    }
    return {};
}

std::vector<const lease*> held_leases::all() const {
    std::vector<const lease*> leases;
    for (const auto& each : devices_)
        leases.push_back(each.get());
    for (const auto& each : seats_)
        if (each->held()) leases.push_back(each->held());
    return leases;
}

std::string held_leases::find_holder(const host_facts& host, const host_address& device) const {
    for (const auto& key : device_keys(host, device))
        if (auto holder = shared_->at.leases.find_holder(key); !holder.empty()) return holder;
    return {};
}

boost::asio::awaitable<result<void>> held_leases::take_turn(guest_reference guest,
                                                            call_limit limit) {
    auto place = shared_->guests.join(std::move(guest));
    auto taken = co_await place->take_turn(limit);
    if (taken.has_error()) co_return taken;
    // The same guest, as it is known by now: it goes on with the connection that there is.
    if (auto* before = seat()) place->adopt(*before);
    seats_.push_back(std::move(place));
    co_return taken;
}

boost::asio::awaitable<result<void>> held_leases::take_guest(call_limit limit) {
    co_return co_await seat()->take_lease(std::move(limit));
}

} // namespace vmplug
