#pragma once

#include "controller/guest_link.hpp"

#include <vmplug/monitor.hpp>

#include <memory>

namespace vmplug {

/// A guest over QMP.
class qmp_guest_link final : public guest_link {
public:
    explicit qmp_guest_link(std::unique_ptr<monitor> connection);

    task<guest_facts> survey(duration deadline) override;
    task<void> device_add(std::string arguments, duration deadline) override;
    task<void> device_del(std::string qdev_id, duration deadline) override;
    task<guest_sight> look(std::string qdev_id, duration deadline) override;
    boost::asio::awaitable<void> wait_for_change(std::string qdev_id, duration most) override;
    std::string address() const override;
    bool is_open() const override { return monitor_->is_open(); }

private:
    std::unique_ptr<monitor> monitor_;
    event_queue events_;
};

} // namespace vmplug
