#include "linux/hmp_guest_link.hpp"

#include "guest/qemu_words.hpp"
#include "system/machine_clock.hpp"

namespace vmplug {

using boost::asio::awaitable;

hmp_line_runner hmp_guest_link::runner() {
    return [this](std::string line, call_limit limit) {
        return monitor_->call(std::move(line), limit.most(), limit.stop());
    };
}

awaitable<result<guest_facts>> hmp_guest_link::survey(call_limit limit) {
    return survey_over_hmp(runner(), monitor_->version(), std::move(limit));
}

awaitable<result<void>> hmp_guest_link::device_add(std::string arguments, call_limit limit) {
    auto line = device_add_line(arguments);
    if (line.has_error()) co_return line.error();
    auto output = co_await monitor_->call(std::move(*line), limit.most(), limit.stop());
    if (output.has_error()) co_return recognise_refusal(output.error());
    co_return result<void>{};
}

awaitable<result<void>> hmp_guest_link::device_del(std::string qdev_id, call_limit limit) {
    auto output = co_await monitor_->call("device_del " + qdev_id, limit.most(), limit.stop());
    if (output.has_value()) co_return result<void>{};
    const bool gone = output.error().code == error_code::command_failed &&
                      output.error().text.find("not found") != std::string::npos;
    if (gone) co_return result<void>{};
    co_return output.error();
}

awaitable<result<guest_sight>> hmp_guest_link::look(std::string qdev_id, call_limit limit) {
    return look_over_hmp(runner(), std::move(qdev_id), std::move(limit));
}

namespace {

/// A human monitor tells no events: it is time to look at growing intervals, as each look costs
/// QEMU its whole device tree.
class looking_again final : public device_watch {
public:
    awaitable<guest_news> next(call_limit limit) override {
        const auto now = limit.within(pause_);
        pause_ = std::min<std::chrono::milliseconds>(pause_ * 2, std::chrono::seconds(2));
        co_await machine_clock().wait(now.most(), now.stop());
        co_return guest_news::changed;
    }

private:
    std::chrono::milliseconds pause_{50};
};

} // namespace

std::unique_ptr<device_watch> hmp_guest_link::watch(std::string) {
    return std::make_unique<looking_again>();
}

} // namespace vmplug
