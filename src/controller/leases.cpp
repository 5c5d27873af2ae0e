#include "controller/leases.hpp"

#include "controller/steps/wait.hpp"

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

result<void> leases::take_device(const host_facts& host, const host_address& device) {
    for (const auto& key : device_keys(host, device)) {
        std::string other;
        auto lock = file_lock::try_lock(directory_, key, holder_, other);
        if (lock.has_error()) return lock.error();
        if (!*lock)
            return error{error_code::device_busy,
                         format_address(device),
                         "another operation works on it: " + other,
                         {}};
        held_.push_back(std::move(**lock));
    }
    return {};
}

std::string leases::find_holder(const host_facts& host, const host_address& device) const {
    for (const auto& key : device_keys(host, device))
        if (auto holder = file_lock::find_holder(directory_, key); !holder.empty()) return holder;
    return {};
}

boost::asio::awaitable<result<void>> leases::take_guest(guest_reference guest,
                                                        std::chrono::milliseconds most,
                                                        std::function<bool()> stop_requested) {
    const auto end = std::chrono::steady_clock::now() + most;
    const auto key = guest.lease_key();
    std::string other;
    for (;;) {
        auto lock = file_lock::try_lock(directory_, key, holder_, other);
        if (lock.has_error()) co_return lock.error();
        if (*lock) {
            held_.push_back(std::move(**lock));
            co_return result<void>{};
        }
        const bool stopped = stop_requested && stop_requested();
        if (stopped || std::chrono::steady_clock::now() >= end)
            co_return error{error_code::guest_not_ready, guest.name(),
                            "another operation works on this guest: " + other,
                            "repeat when it has ended; `vmplug operations` shows it"};
        co_await pause_for(turn_interval);
    }
}

} // namespace vmplug
