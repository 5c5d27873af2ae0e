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
using std::chrono::steady_clock;

} // namespace

qmp_guest_link::qmp_guest_link(std::unique_ptr<monitor> connection)
    : monitor_(std::move(connection)) {}

std::string qmp_guest_link::address() const {
    return monitor_->address();
}

hmp_line_runner qmp_guest_link::runner() {
    return [this](std::string line, call_limit limit) {
        return run_hmp_line(*monitor_, std::move(line), std::move(limit));
    };
}

awaitable<result<guest_facts>> qmp_guest_link::survey(call_limit limit) {
    auto facts = co_await ask(limit);
    ask_by_hmp_ = facts.has_value() && !facts->vfio_pci && !facts->pci_assign;
    if (ask_by_hmp_) co_return co_await survey_over_hmp(runner(), monitor_->version(), limit);
    co_return facts;
}

awaitable<result<guest_facts>> qmp_guest_link::ask(call_limit limit) {
    guest_survey asking(monitor_->version());
    // One for all questions: a guest that answers each a little before its end is not waited for.
    const auto end = steady_clock::now() + limit.most();
    const auto left = [end] { return time_left(end, steady_clock::now()); };
    for (auto batch = asking.next(); !batch.empty(); batch = asking.next()) {
        std::vector<pending_call> calls;
        for (auto& each : batch)
            calls.push_back(monitor_->start(std::move(each.command), std::move(each.arguments)));
        for (std::size_t i = 0; i < calls.size(); ++i) {
            const auto reply = co_await calls[i].wait(left(), limit.stop());
            // What QEMU refuses is missing in the facts; anything else means no answer at all.
            if (reply.has_error() && reply.error().code != error_code::command_failed)
                co_return reply.error();
            asking.answer(i, reply.has_value() ? &*reply : nullptr);
        }
    }
    if (asking.failure()) co_return *asking.failure();
    co_return asking.facts();
}

awaitable<result<void>> qmp_guest_link::device_add(std::string arguments, call_limit limit) {
    auto reply =
        co_await monitor_->call("device_add", std::move(arguments), limit.most(), limit.stop());
    if (reply.has_error()) co_return recognise_refusal(reply.error());
    co_return result<void>{};
}

awaitable<result<void>> qmp_guest_link::device_del(std::string qdev_id, call_limit limit) {
    const qapi::device_del command{qdev_id};
    typed_call asked(*monitor_, command);
    const auto reply = co_await asked.wait(limit.most(), limit.stop());
    // The class may be relied upon, the words may not.
    const bool gone = reply.has_error() && reply.error().text.starts_with("DeviceNotFound:");
    if (reply.has_error() && !gone) co_return reply.error();
    co_return result<void>{};
}

awaitable<result<guest_sight>> qmp_guest_link::look(std::string qdev_id, call_limit limit) {
    if (ask_by_hmp_) co_return co_await look_over_hmp(runner(), std::move(qdev_id), limit);
    const qapi::qom_list peripheral{"/machine/peripheral"};
    typed_call listing(*monitor_, peripheral);
    typed_call pci(*monitor_, qapi::query_pci{});
    const auto listed = co_await listing.wait(limit.most(), limit.stop());
    if (listed.has_error() && listed.error().code == error_code::command_failed) {
        ask_by_hmp_ = true;
        co_return co_await look_over_hmp(runner(), std::move(qdev_id), limit);
    }
    if (listed.has_error()) co_return listed.error();
    if (!lists_device(*listed, qdev_id)) co_return guest_sight::gone;
    const auto shown = co_await pci.wait(limit.most(), limit.stop());
    if (shown.has_error()) co_return shown.error();
    co_return shows_configured(*shown, qdev_id) ? guest_sight::configured : guest_sight::added;
}

namespace {

class qmp_device_watch final : public device_watch {
public:
    qmp_device_watch(event_queue events, std::string qdev_id)
        : events_(std::move(events)), qdev_id_(std::move(qdev_id)) {}

    awaitable<guest_news> next(call_limit limit) override {
        const auto end = steady_clock::now() + limit.most();
        for (;;) {
            const auto left = time_left(end, steady_clock::now());
            if (left.count() == 0 || limit.stop().stop_requested()) co_return guest_news::nothing;
            const auto event = co_await typed_events::next(events_, left, limit.stop());
            // A lost monitor is reported by whatever is asked next.
            if (event.has_error() || lost_some()) co_return guest_news::changed;
            if (!*event || !qapi::is_about(**event, qdev_id_)) continue;
            const bool refused = std::holds_alternative<qapi::device_unplug_guest_error>(**event);
            co_return refused ? guest_news::refused : guest_news::changed;
        }
    }

private:
    /// What was dropped of too many may have been about our device.
    bool lost_some() {
        const auto before = std::exchange(dropped_, events_.dropped());
        return before != dropped_;
    }

    event_queue events_;
    std::string qdev_id_;
    std::uint64_t dropped_ = 0;
};

} // namespace

std::unique_ptr<device_watch> qmp_guest_link::watch(std::string qdev_id) {
    return std::make_unique<qmp_device_watch>(monitor_->subscribe(), std::move(qdev_id));
}

} // namespace vmplug
