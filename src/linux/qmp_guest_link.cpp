#include "linux/qmp_guest_link.hpp"

#include "guest/device_sight.hpp"
#include "guest/guest_survey.hpp"
#include "guest/qemu_words.hpp"
#include "monitor/typed_call.hpp"
#include "monitor/typed_events.hpp"
#include "qapi/qdev.hpp"

#include <nlohmann/json.hpp>

#include <algorithm>
#include <vector>

namespace vmplug {
namespace {

using boost::asio::awaitable;
using std::chrono::milliseconds;
using std::chrono::steady_clock;

} // namespace

qmp_guest_link::qmp_guest_link(std::unique_ptr<monitor> connection)
    : monitor_(std::move(connection)), events_(monitor_->subscribe()) {}

std::string qmp_guest_link::address() const {
    return monitor_->address();
}

hmp_line_runner qmp_guest_link::runner() {
    return [this](std::string line, duration deadline) {
        return run_hmp_line(*monitor_, std::move(line), deadline);
    };
}

awaitable<result<guest_facts>> qmp_guest_link::survey(duration deadline) {
    auto facts = co_await ask(deadline);
    ask_by_hmp_ = facts.has_value() && !facts->vfio_pci && !facts->pci_assign;
    if (ask_by_hmp_) co_return co_await survey_over_hmp(runner(), monitor_->version(), deadline);
    co_return facts;
}

awaitable<result<guest_facts>> qmp_guest_link::ask(duration deadline) {
    guest_survey asking(monitor_->version());
    // One for all questions: a guest that answers each a little before its end is not waited for.
    const auto end = steady_clock::now() + deadline;
    const auto left = [end] {
        const auto time = std::chrono::duration_cast<milliseconds>(end - steady_clock::now());
        return std::max(time, milliseconds(0));
    };
    for (auto batch = asking.next(); !batch.empty(); batch = asking.next()) {
        std::vector<pending_call> calls;
        for (auto& each : batch)
            calls.push_back(monitor_->start(std::move(each.command), std::move(each.arguments)));
        for (std::size_t i = 0; i < calls.size(); ++i) {
            const auto reply = co_await calls[i].wait(left());
            // What QEMU refuses is missing in the facts; anything else means no answer at all.
            if (reply.has_error() && reply.error().code != error_code::command_failed)
                co_return reply.error();
            asking.answer(i, reply.has_value() ? &*reply : nullptr);
        }
    }
    if (asking.failure()) co_return *asking.failure();
    co_return asking.facts();
}

awaitable<result<void>> qmp_guest_link::device_add(std::string arguments, duration deadline) {
    auto reply = co_await monitor_->call("device_add", std::move(arguments), deadline);
    if (reply.has_error()) co_return recognise_refusal(reply.error());
    co_return result<void>{};
}

awaitable<result<void>> qmp_guest_link::device_del(std::string qdev_id, duration deadline) {
    const qapi::device_del command{qdev_id};
    typed_call asked(*monitor_, command);
    const auto reply = co_await asked.wait(deadline);
    // The class may be relied upon, the words may not.
    const bool gone = reply.has_error() && reply.error().text.starts_with("DeviceNotFound:");
    if (reply.has_error() && !gone) co_return reply.error();
    co_return result<void>{};
}

awaitable<result<guest_sight>> qmp_guest_link::look(std::string qdev_id, duration deadline) {
    if (ask_by_hmp_) co_return co_await look_over_hmp(runner(), std::move(qdev_id), deadline);
    const qapi::qom_list peripheral{"/machine/peripheral"};
    typed_call listing(*monitor_, peripheral);
    typed_call pci(*monitor_, qapi::query_pci{});
    const auto listed = co_await listing.wait(deadline);
    if (listed.has_error() && listed.error().code == error_code::command_failed) {
        ask_by_hmp_ = true;
        co_return co_await look_over_hmp(runner(), std::move(qdev_id), deadline);
    }
    if (listed.has_error()) co_return listed.error();
    if (!lists_device(*listed, qdev_id)) co_return guest_sight::gone;
    const auto shown = co_await pci.wait(deadline);
    if (shown.has_error()) co_return shown.error();
    co_return shows_configured(*shown, qdev_id) ? guest_sight::configured : guest_sight::added;
}

awaitable<void> qmp_guest_link::wait_for_change(std::string qdev_id, duration most) {
    const auto end = steady_clock::now() + most;
    for (;;) {
        const auto left = std::chrono::duration_cast<milliseconds>(end - steady_clock::now());
        if (left.count() <= 0) co_return;
        const auto event = co_await typed_events::next(events_, left);
        // A lost monitor is reported by whatever is asked next.
        if (event.has_error() || !*event || qapi::is_about(**event, qdev_id)) co_return;
    }
}

} // namespace vmplug
