#include "engine/operation_runner.hpp"

namespace vmplug {

using boost::asio::awaitable;

awaitable<result<guest_link*>> operation_runner::reach_guest(const guest_reference& guest,
                                                             std::unique_ptr<guest_link>& link) {
    if (link && link->is_open()) co_return link.get();
    auto connected = co_await at_.vms.connect(guest, options_.greeting_deadline);
    if (connected.has_error()) co_return connected.error();
    link = std::move(*connected);
    co_return link.get();
}

run_observer operation_runner::observer() const {
    run_observer watching;
    watching.before = [this](const operation_record& record, const action& next) {
        if (!options_.observer.progress) return;
        const auto text = std::to_string(next.step + 1) + "/" +
                          std::to_string(record.steps.size()) + " " +
                          describe_step(record.steps[next.step].planned);
        options_.observer.progress(next.kind == action_kind::revert ? "undoing " + text : text);
    };
    return watching;
}

namespace {

std::string sight_name(const result<presence>& seen) {
    if (seen.has_error()) return "not known";
    switch (*seen) {
    case presence::applied:
        return "stands";
    case presence::absent:
        return "absent";
    case presence::partial:
        break;
    }
    return "half done";
}

} // namespace

step_context operation_runner::context_for(const operation_machine& machine,
                                           const guest_reference& guest,
                                           std::unique_ptr<guest_link>& link,
                                           std::chrono::milliseconds add_deadline) {
    return {*host_,
            at_.time,
            [this, &guest, &link] { return reach_guest(guest, link); },
            guest_process(machine.record()),
            options_.observer.progress,
            options_.observer.stop_requested,
            options_.host_deadline,
            options_.guest_deadline,
            add_deadline};
}

awaitable<std::vector<std::string>> operation_runner::look(operation_machine& machine,
                                                           guest_reference guest) {
    std::unique_ptr<guest_link> link;
    auto context = context_for(machine, guest, link, options_.guest_deadline);
    context.progress = nullptr;
    std::vector<std::string> sights(machine.record().steps.size());
    for (auto now = machine.next(); now.kind == action_kind::probe; now = machine.next()) {
        const auto& step = machine.record().steps[now.step];
        const auto* kind = find_step_kind(step.planned.kind);
        result<presence> seen = error{error_code::journal_corrupt, step.planned.kind, {}, {}};
        if (kind) seen = co_await kind->probe(context, step.planned.arguments, step.prior_state);
        sights[now.step] = sight_name(seen);
        machine.probed(seen);
    }
    co_return sights;
}

awaitable<void> operation_runner::run(operation_machine& machine, records& book,
                                      guest_reference guest, std::unique_ptr<guest_link> link,
                                      std::chrono::milliseconds add_deadline,
                                      std::vector<operation_record> along) {
    auto context = context_for(machine, guest, link, add_deadline);
    const auto watching = observer();
    co_await run_operation(machine, book, context, watching, along);
}

} // namespace vmplug
