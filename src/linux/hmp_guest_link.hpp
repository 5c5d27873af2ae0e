#pragma once

#include "linux/human_monitor.hpp"
#include "port/guest_link.hpp"

#include <memory>

namespace vmplug {

/// A guest over a human monitor. There are no events: whoever waits looks again.
class hmp_guest_link final : public guest_link {
public:
    explicit hmp_guest_link(std::unique_ptr<hmp_monitor> connection)
        : monitor_(std::move(connection)) {}

    task<guest_facts> survey(call_limit limit) override;
    task<void> device_add(std::string arguments, call_limit limit) override;
    task<void> device_del(std::string qdev_id, call_limit limit) override;
    task<guest_sight> look(std::string qdev_id, call_limit limit) override;
    std::unique_ptr<device_watch> watch(std::string qdev_id) override;
    std::string address() const override { return monitor_->address(); }
    int descriptor() const override { return monitor_->descriptor(); }
    bool is_open() const override { return monitor_->is_open(); }

private:
    hmp_line_runner runner();

    std::unique_ptr<hmp_monitor> monitor_;
};

} // namespace vmplug
