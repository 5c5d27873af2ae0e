#include "linux/hmp_guest_link.hpp"

#include "guest/qemu_words.hpp"
#include "port/machine_clock.hpp"

namespace vmplug {

using boost::asio::awaitable;

hmp_line_runner hmp_guest_link::runner() {
    return [this](std::string line, duration deadline) {
        return monitor_->call(std::move(line), deadline);
    };
}

awaitable<result<guest_facts>> hmp_guest_link::survey(duration deadline) {
    return survey_over_hmp(runner(), monitor_->version(), deadline);
}

awaitable<result<void>> hmp_guest_link::device_add(std::string arguments, duration deadline) {
    auto line = device_add_line(arguments);
    if (line.has_error()) co_return line.error();
    auto output = co_await monitor_->call(std::move(*line), deadline);
    if (output.has_error()) co_return recognise_refusal(output.error());
    co_return result<void>{};
}

awaitable<result<void>> hmp_guest_link::device_del(std::string qdev_id, duration deadline) {
    auto output = co_await monitor_->call("device_del " + qdev_id, deadline);
    if (output.has_value()) co_return result<void>{};
    const bool gone = output.error().code == error_code::command_failed &&
                      output.error().text.find("not found") != std::string::npos;
    if (gone) co_return result<void>{};
    co_return output.error();
}

awaitable<result<guest_sight>> hmp_guest_link::look(std::string qdev_id, duration deadline) {
    return look_over_hmp(runner(), std::move(qdev_id), deadline);
}

awaitable<void> hmp_guest_link::wait_for_change(std::string, duration most) {
    const auto now = std::min(pause_, most);
    pause_ = std::min<duration>(pause_ * 2, std::chrono::seconds(2));
    co_await machine_clock().wait(now);
}

} // namespace vmplug
