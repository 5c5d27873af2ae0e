#pragma once

#include "linux/human_monitor.hpp"
#include "port/guest_link.hpp"

#include <vmplug/monitor.hpp>

#include <memory>

namespace vmplug {

/// A guest over QMP. What the QMP of an old QEMU cannot tell (it has no QOM before 1.1, no models'
/// properties before 1.2) is asked through its human-monitor-command.
class qmp_guest_link final : public guest_link {
public:
    explicit qmp_guest_link(std::unique_ptr<monitor> connection);

    task<guest_facts> survey(call_limit limit) override;
    task<void> device_add(std::string arguments, call_limit limit) override;
    task<void> device_del(std::string qdev_id, call_limit limit) override;
    task<guest_sight> look(std::string qdev_id, call_limit limit) override;
    std::unique_ptr<device_watch> watch(std::string qdev_id) override;
    std::string address() const override;
    int descriptor() const override { return monitor_->descriptor(); }
    bool is_open() const override { return monitor_->is_open(); }

private:
    hmp_line_runner runner();
    task<guest_facts> ask(call_limit limit);

    std::unique_ptr<monitor> monitor_;
    bool ask_by_hmp_ = false; ///< its QMP cannot tell what its human monitor can
};

} // namespace vmplug
