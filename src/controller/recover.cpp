#include "controller/implementation.hpp"
#include "controller/operation_runner.hpp"
#include "controller/step_kind.hpp"

#include <algorithm>

namespace vmplug {

using boost::asio::awaitable;

awaitable<result<std::vector<operation_report>>> controller::recover(bool dry_run) {
    auto& self = *implementation_;
    auto opened = self.open_journal(dry_run);
    if (opened.has_error()) co_return opened.error();
    auto open = opened->load_open();
    if (open.has_error()) co_return open.error();
    std::vector<operation_report> reports;
    for (auto& record : *open)
        reports.push_back(co_await self.recover_one(*opened, std::move(record), dry_run));
    open = opened->load_open();
    if (open.has_error()) co_return open.error();
    auto assigned = opened->load_assignments();
    if (assigned.has_error()) co_return assigned.error();
    for (auto& record : *assigned) {
        if (const auto fine = check_record(record); fine.has_error()) {
            reports.push_back(disbelieved(std::move(record), fine.error()));
            continue;
        }
        // A detach that is still open was reported above.
        const bool leaving =
            std::ranges::find(*open, record.number, &operation_record::releases) != open->end();
        if (!leaving && co_await self.has_lost(record))
            reports.push_back(co_await self.take_home(*opened, std::move(record), dry_run));
    }
    co_return reports;
}

awaitable<operation_report>
controller::implementation::repeat(journal& records, operation_record earlier, bool dry_run) {
    operation_report report;
    if (earlier.state == operation_state::closed)
        report = settled(std::move(earlier));
    else
        report = co_await recover_one(records, std::move(earlier), dry_run);
    report.repeated = true;
    co_return report;
}

awaitable<operation_report>
controller::implementation::recover_one(journal& records, operation_record record, bool dry_run) {
    if (const auto fine = check_record(record); fine.has_error())
        co_return disbelieved(std::move(record), fine.error());
    if (dry_run) {
        const auto holder = find_holder(record);
        if (holder.empty()) co_return co_await preview(std::move(record), records);
        co_return left_alone(
            std::move(record),
            {error_code::device_busy, {}, "another operation works on it: " + holder, {}});
    }
    auto held = new_leases();
    auto taken = co_await hold_again(held, record);
    if (taken.has_error()) co_return left_alone(std::move(record), taken.error());
    // It may have been settled while we waited.
    auto now = records.load(record.number);
    if (now.has_error()) co_return refusal(now.error());
    if (now->state == operation_state::closed) co_return settled(std::move(*now));
    co_return co_await resume(records, std::move(*now));
}

/// What would be done with an unfinished operation, and on what grounds. Changes nothing.
awaitable<operation_report> controller::implementation::preview(operation_record record,
                                                                journal& records) {
    auto guest = guest_of(files, record);
    auto machine = operation_machine::resume(record);
    operation_runner runner(options, files, records, host);
    operation_report report;
    report.seen = co_await runner.look(machine, std::move(guest));
    const auto& after = machine.record();
    const bool back = after.state == operation_state::reverting;
    report.would = back ? "undo what was done" : "go on";
    if (after.ended && after.state != operation_state::closed)
        report.would = "wait: the world does not answer";
    report.record = std::move(record);
    co_return report;
}

awaitable<operation_report> controller::implementation::resume(journal& records,
                                                               operation_record record) {
    auto guest = guest_of(files, record);
    record.runner = self;
    auto machine = operation_machine::resume(std::move(record));
    operation_runner runner(options, files, records, host);
    co_await runner.run(machine, std::move(guest), nullptr, attach_request().add_deadline);
    co_return settled(machine.record());
}

/// Whether the guest has the device no more: its QEMU has ended, or it gave the device back by
/// itself. What cannot be found out counts as no.
awaitable<bool> controller::implementation::has_lost(operation_record attached) {
    if (attached.kind != operation_kind::attach) co_return false;
    const auto qemu = guest_process(attached);
    if (qemu.pid != 0 && !host.is_alive(qemu)) co_return true;
    auto guest = guest_of(files, attached);
    auto link = co_await connect(std::move(guest));
    if (link.has_error()) co_return false;
    const auto sight =
        co_await (*link)->look(field(attached.subject, "id"), options.guest_deadline);
    co_return sight.has_value() && *sight == guest_sight::gone;
}

awaitable<operation_report>
controller::implementation::take_home(journal& records, operation_record attached, bool dry_run) {
    auto held = new_leases();
    if (!dry_run) {
        auto taken = co_await hold_again(held, attached);
        if (taken.has_error()) co_return left_alone(std::move(attached), taken.error());
    }
    // Another detach may have taken it home meanwhile, or have left it more to take along.
    auto assigned = records.load_assignments();
    if (assigned.has_error()) co_return refusal(assigned.error());
    const auto still = std::ranges::find(*assigned, attached.number, &operation_record::number);
    if (still == assigned->end()) co_return settled(std::move(attached));
    detach_request request;
    request.id = field(attached.subject, "id");
    co_return co_await detach(records, *still, std::move(request), request_key(), dry_run);
}

} // namespace vmplug
