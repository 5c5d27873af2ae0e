#include "controller/operation_runner.hpp"

#include "controller/qmp_guest_link.hpp"
#include "controller/steps/wait.hpp"

#include <algorithm>

namespace vmplug {

using boost::asio::awaitable;

process_identity qemu_of(const operation_record& record) {
    return {field(record.subject, "boot_id"),
            number_field<std::int32_t>(record.subject, "guest_pid"),
            number_field<std::uint64_t>(record.subject, "guest_start")};
}

guest_reference guest_of(const operation_record& record, const std::vector<qemu_process>& qemus) {
    guest_reference guest;
    guest.text = field(record.subject, "guest");
    const auto identity = qemu_of(record);
    const auto found = std::ranges::find(qemus, identity, &qemu_process::identity);
    if (found != qemus.end()) guest.process = *found;
    guest.monitors.push_back(field(record.subject, "monitor"));
    if (!guest.process) return guest;
    for (const auto& monitor : guest.process->monitors)
        if (monitor.speaks == qemu_monitor::protocol::qmp &&
            monitor.address != guest.monitors.front())
            guest.monitors.push_back(monitor.address);
    return guest;
}

awaitable<result<guest_link*>> operation_runner::reach_guest(const guest_reference& guest,
                                                             std::unique_ptr<guest_link>& link) {
    if (link && link->is_open()) co_return link.get();
    monitor_options wanted;
    wanted.greeting_deadline = options_.greeting_deadline;
    auto connected = co_await connect_monitor(files_, guest, wanted);
    if (connected.has_error()) co_return connected.error();
    link = std::make_unique<qmp_guest_link>(std::move(*connected));
    co_return link.get();
}

run_observer operation_runner::observer() const {
    run_observer watching;
    watching.before = [this](const operation_record& record, const action& next) {
        if (!options_.observer.progress) return;
        const auto text = describe_step(record.steps[next.step].planned);
        options_.observer.progress(next.kind == action_kind::revert ? "undoing: " + text : text);
    };
    return watching;
}

namespace {

std::string sight_name(presence seen) {
    switch (seen) {
    case presence::applied:
        return "stands";
    case presence::absent:
        return "absent";
    case presence::partial:
        return "half done";
    case presence::unknown:
        break;
    }
    return "not known";
}

} // namespace

awaitable<std::vector<std::string>> operation_runner::look(operation_machine& machine,
                                                           guest_reference guest) {
    std::unique_ptr<guest_link> link;
    std::function<awaitable<result<guest_link*>>()> reach = [&] {
        return reach_guest(guest, link);
    };
    step_context context{host_,
                         std::move(reach),
                         qemu_of(machine.record()),
                         {},
                         options_.observer.stop_requested,
                         options_.host_deadline,
                         options_.guest_deadline,
                         options_.guest_deadline};
    std::vector<std::string> sights(machine.record().steps.size());
    for (auto now = machine.next(); now.kind == action_kind::probe; now = machine.next()) {
        const auto& step = machine.record().steps[now.step];
        const auto* kind = find_step_kind(step.planned.kind);
        auto seen = presence::unknown;
        if (kind) seen = co_await kind->probe(context, step.planned.arguments, step.prior_state);
        sights[now.step] = sight_name(seen);
        machine.probed(seen);
    }
    co_return sights;
}

awaitable<void> operation_runner::run(operation_machine& machine, guest_reference guest,
                                      std::unique_ptr<guest_link> link,
                                      std::chrono::milliseconds add_deadline) {
    std::function<awaitable<result<guest_link*>>()> reach = [&] {
        return reach_guest(guest, link);
    };
    step_context context{host_,
                         std::move(reach),
                         qemu_of(machine.record()),
                         options_.observer.progress,
                         options_.observer.stop_requested,
                         options_.host_deadline,
                         options_.guest_deadline,
                         add_deadline};
    const auto watching = observer();
    co_await run_operation(machine, journal_, context, watching);
}

} // namespace vmplug
