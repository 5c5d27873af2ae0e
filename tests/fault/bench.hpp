#pragma once

#include "engine/use_case.hpp"
#include "support/simulated_world.hpp"

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/io_context.hpp>
#include <doctest/doctest.h>

#include <functional>
#include <memory>
#include <set>
#include <string>

namespace vmplug::testing {

using boost::asio::awaitable;

inline const std::string left = "0000:04:01.0";
inline const std::string right = "0000:04:02.0";

/// A world with two neighbours in one group, a disk, and a vmplug that runs one operation at a
/// time.
class bench {
public:
    bench() {
        // Two ports of one function, one of them in a container.
        world.devices[left] = {"e1000",
                               {{"eth3", "52:54:00:00:00:03", "52:54:00:aa:aa:03", 9000, {"wan0"}},
                                {"pod1", "52:54:00:00:00:13", "52:54:00:00:00:13", 1400, {}, 77}},
                               11,
                               "e1000",
                               ""};
        world.guests["web"].identity = {"boot", 77, 1};
        world.devices[right] = {"e1000", {{"eth4", "52:54:00:00:00:04"}}, 11, "e1000", "e1000"};
    }
    bench(const bench&) = delete;
    bench& operator=(const bench&) = delete;

    using operation = std::function<awaitable<operation_report>(use_case&)>;

    boost::asio::io_context io;
    virtual_clock time{io};
    fake_world world{time};
    simulated_disk disk;
    simulated_locks locks;

    /// Runs until it ends or the process dies. Returns whether it lived.
    bool run(const operation& what, std::function<void(const std::string&)> progress = {}) {
        if (!process_ || !process_->is_alive())
            process_ = std::make_unique<simulated_process>(world, disk, locks, ++started_);
        auto chosen = options;
        chosen.progress = std::move(progress);
        use_case running(process_->shared(), chosen);
        bool lived = true;
        const auto work = [&]() -> awaitable<void> {
            try {
                report = co_await what(running);
            } catch (const process_death&) {
                lived = false;
            }
        };
        boost::asio::co_spawn(io, work, [](std::exception_ptr failure) {
            if (failure) std::rethrow_exception(failure);
        });
        time.run();
        if (!lived) process_->die();
        if (lived) last = report.record();
        return lived;
    }

    bool recover() {
        return run([this](use_case& running) -> awaitable<operation_report> {
            auto settled = co_await running.recover();
            REQUIRE(settled.has_value());
            reports = std::move(*settled);
            co_return reports.empty() ? operation_report() : reports.back();
        });
    }

    operation_options options; ///< of those that are run

    operation_report report;               ///< of the last that lived
    operation_record last;                 ///< its record
    std::vector<operation_report> reports; ///< of the last recover
    std::set<std::string> came_back;       ///< without vmplug: new devices, on their own drivers

private:
    std::unique_ptr<simulated_process> process_;
    int started_ = 0;
};

inline awaitable<operation_report> attach(use_case& running) {
    attach_request request;
    request.id = "nic0";
    request.with_group = true;
    request.wait_guest = std::chrono::milliseconds(1);
    return running.attach("web", left, request);
}

inline awaitable<operation_report> detach(use_case& running) {
    detach_request request;
    request.id = "nic0";
    request.wait_guest = std::chrono::milliseconds(100);
    return running.detach("web", request);
}

inline awaitable<operation_report> detach_and_keep(use_case& running) {
    detach_request request;
    request.id = "nic0";
    request.wait_guest = std::chrono::milliseconds(100);
    request.keep_bound = true;
    return running.detach("web", request);
}

inline awaitable<operation_report> bind(use_case& running) {
    bind_request request;
    request.with_group = true;
    return running.bind(left, request);
}

inline awaitable<operation_report> bind_by_new_id(use_case& running) {
    bind_request request;
    request.with_group = true;
    request.binding = binding_way::new_id;
    return running.bind(left, request);
}

inline awaitable<operation_report> release(use_case& running) {
    return running.release(left);
}

inline void do_first(bench& on, awaitable<operation_report> (*what)(use_case&)) {
    REQUIRE(on.run(what));
    REQUIRE(on.report.ended() == outcome::done);
}

inline void bind_first(bench& on) {
    do_first(on, bind);
}

inline void bind_by_new_id_first(bench& on) {
    do_first(on, bind_by_new_id);
}

inline void attach_first(bench& on) {
    do_first(on, attach);
}

/// Removed and scanned for again: as the kernel finds a new device.
inline void come_back(bench& on, const std::string& address) {
    auto& device = on.world.devices.at(address);
    device.driver_override.clear();
    device.driver.clear();
    on.world.attach_driver(device, device.native_driver);
    on.came_back.insert(address);
}

} // namespace vmplug::testing
