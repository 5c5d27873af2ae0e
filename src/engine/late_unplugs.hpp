#pragma once

#include "engine/use_case.hpp"

#include <functional>
#include <set>

namespace vmplug {

/// Settles what guests let go of late, for as long as the process stays: the detaches of this
/// process that ended as `unplug_pending`.
///
/// A guest is listened to until it lets go, so its monitor is ours meanwhile; its lease is not, and
/// operations have their turns. What somebody else has settled is let go of.
/// Lifetime: of the coroutine that runs it.
class late_unplugs {
public:
    using told = std::function<void(const operation_report&)>;

    late_unplugs(engine& shared, operation_options options, told settled)
        : shared_(shared), options_(std::move(options)), settled_(std::move(settled)) {}

    /// Until the stop of its options is asked for.
    boost::asio::awaitable<void> run();

private:
    boost::asio::awaitable<void> wait_for(std::int64_t number);
    boost::asio::awaitable<bool> settle_when_gone(std::int64_t number);
    boost::asio::awaitable<result<operation_record>> load(std::int64_t number) const;
    struct sight {
        bool gone = false;
        std::unique_ptr<device_watch> watch = nullptr; ///< nullptr: it was not asked
    };
    boost::asio::awaitable<sight> look(guest_seat& seat, std::string id) const;
    std::chrono::milliseconds until_reach(guest_seat& seat) const;
    boost::asio::awaitable<bool> wait_once(guest_seat& seat, const operation_record& detach);

    engine& shared_;
    operation_options options_;
    told settled_;
    std::set<std::int64_t> waiting_; ///< for these operations
};

} // namespace vmplug
