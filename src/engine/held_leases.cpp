#include "engine/held_leases.hpp"

namespace vmplug {
namespace {

constexpr std::chrono::milliseconds turn_interval{20};

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
        lease_holder other;
        auto taken = table_->try_take(key, other);
        if (taken.has_error()) return taken.error();
        if (!*taken)
            return error{other.in_kernel ? error_code::host_stuck : error_code::device_busy,
                         format_address(device),
                         "another operation works on it: " + other.who,
                         {}};
        held_.push_back(std::move(*taken));
    }
    return {};
}

std::vector<const lease*> held_leases::all() const {
    std::vector<const lease*> leases;
    for (const auto& each : held_)
        leases.push_back(each.get());
    return leases;
}

std::string held_leases::find_holder(const host_facts& host, const host_address& device) const {
    for (const auto& key : device_keys(host, device))
        if (auto holder = table_->find_holder(key); !holder.empty()) return holder;
    return {};
}

boost::asio::awaitable<result<void>> held_leases::take_guest(guest_reference guest,
                                                             std::chrono::milliseconds most,
                                                             std::function<bool()> stop_requested) {
    const auto end = time_->now() + most;
    const auto key = guest.lease_key();
    lease_holder other;
    for (;;) {
        auto taken = table_->try_take(key, other);
        if (taken.has_error()) co_return taken.error();
        if (*taken) {
            held_.push_back(std::move(*taken));
            co_return result<void>{};
        }
        const bool stopped = stop_requested && stop_requested();
        if (stopped || time_->now() >= end)
            co_return error{error_code::guest_not_ready,
                            guest.name(),
                            "another operation works on this guest: " + other.who,
                            {},
                            advice::wait_for_operation};
        co_await time_->wait(turn_interval);
    }
}

} // namespace vmplug
