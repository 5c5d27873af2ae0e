#include "controller/leases.hpp"

#include "controller/steps/wait.hpp"

namespace vmplug {
namespace {

constexpr std::chrono::milliseconds turn_interval{20};

} // namespace

result<void> leases::take_device(const host_facts& host, const host_address& device) {
    // The group is the unit of ownership: two neighbours are one lease.
    const auto* function = host.find(device);
    const auto key = function && function->iommu_group
                         ? "group-" + std::to_string(*function->iommu_group)
                         : "device-" + format_address(device);
    std::string other;
    auto lock = file_lock::try_lock(directory_, key, holder_, other);
    if (lock.has_error()) return lock.error();
    if (!*lock)
        return error{error_code::device_busy,
                     format_address(device),
                     "another operation works on it: " + other,
                     {}};
    held_.push_back(std::move(**lock));
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
