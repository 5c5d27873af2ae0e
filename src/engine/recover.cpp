#include "engine/chains.hpp"
#include "engine/operation_runner.hpp"
#include "engine/sharing.hpp"
#include "engine/use_case.hpp"
#include "port/side_by_side.hpp"
#include "step/device_del.hpp"
#include "step/step_kind.hpp"

#include <algorithm>

namespace vmplug {

using boost::asio::awaitable;

namespace {

/// Each has a connection, and children that write to the kernel.
constexpr std::size_t chains_at_once = 16;

/// Why an open record is not used.
std::optional<error> disbelief(const operation_record& record) {
    if (const auto fine = check_record(record); fine.has_error()) return fine.error();
    if (record.steps.empty())
        return error{error_code::journal_corrupt, "steps", "they are missing", {}};
    return std::nullopt;
}

} // namespace

awaitable<result<std::vector<operation_report>>> use_case::recover() {
    co_await begin_time();
    auto opened = open_records();
    if (opened.has_error()) co_return opened.error();
    auto& book = **opened;
    auto open = co_await book.load_open();
    if (open.has_error()) co_return open.error();
    const settling settle = [&](operation_record record) -> awaitable<optional_report> {
        co_return co_await recover_one(book, std::move(record));
    };
    auto reports = co_await settle_all(std::move(*open), settle);
    open = co_await book.load_open();
    if (open.has_error()) co_return open.error();
    auto assigned = co_await book.load_assignments();
    if (assigned.has_error()) co_return assigned.error();
    // A detach that is still open was reported above.
    std::erase_if(*assigned, [&](const operation_record& record) {
        return std::ranges::find(*open, record.number, &operation_record::releases) != open->end();
    });
    const settling bring_back = [&](operation_record record) -> awaitable<optional_report> {
        if (const auto fine = check_record(record); fine.has_error())
            co_return refused_operation{{fine.error()}, {}, std::move(record)};
        if (!co_await has_lost(record)) co_return std::nullopt;
        co_return co_await take_home(book, std::move(record));
    };
    for (auto& each : co_await settle_all(std::move(*assigned), bring_back))
        reports.push_back(std::move(each));
    co_return reports;
}

awaitable<operation_report> use_case::settle(std::int64_t number) {
    co_await begin_time();
    auto opened = open_records();
    if (opened.has_error()) co_return refusal(opened.error());
    auto record = co_await (*opened)->load(number);
    if (record.has_error()) co_return refusal(record.error());
    if (record->state == operation_state::closed)
        co_return settled_operation{std::move(*record), {}};
    co_return co_await recover_one(**opened, std::move(*record));
}

/// Chains side by side, each in order. What one waits for, a guest or the kernel, is nothing to the
/// others. The reports come in the order of the records.
awaitable<std::vector<operation_report>> use_case::settle_all(std::vector<operation_record> records,
                                                              const settling& settle) {
    const auto known = co_await at_.reader.read_functions();
    const auto chains = find_chains(records, known);
    std::vector<optional_report> settled(records.size());
    std::size_t next = 0;
    const auto work_off = [&]() -> awaitable<void> {
        while (next < chains.size())
            for (const auto i : chains[next++])
                settled[i] = co_await settle(records[i]);
    };
    std::vector<awaitable<void>> workers;
    for (std::size_t i = 0; i < std::min(chains.size(), chains_at_once); ++i)
        workers.push_back(work_off());
    co_await side_by_side(std::move(workers));
    std::vector<operation_report> reports;
    for (auto& each : settled)
        if (each) reports.push_back(std::move(*each));
    co_return reports;
}

awaitable<operation_report> use_case::repeat(records& book, operation_record earlier) {
    if (earlier.state == operation_state::closed)
        co_return settled_operation{std::move(earlier), {}, true};
    auto report = co_await recover_one(book, std::move(earlier));
    co_return std::move(report).repeated();
}

awaitable<operation_report> use_case::recover_one(records& book, operation_record record,
                                                  std::optional<patience> changed) {
    if (auto why = disbelief(record))
        co_return refused_operation{{std::move(*why)}, {}, std::move(record)};
    if (options_.dry_run) {
        const auto holder = co_await find_holder(record);
        if (holder.empty()) co_return co_await preview(std::move(record));
        co_return left_operation{
            std::move(record),
            {error_code::device_busy, {}, "another operation works on it: " + holder, {}}};
    }
    held_leases held(shared_);
    auto taken = co_await hold_again(held, record);
    if (taken.has_error()) {
        const bool in_kernel = taken.error().code == error_code::host_stuck;
        co_return left_operation{std::move(record), taken.error(), in_kernel};
    }
    // It may have been settled while we waited.
    auto now = co_await book.load(record.number);
    if (now.has_error()) co_return left_operation{std::move(record), now.error()};
    const bool is_closed = now->state == operation_state::closed;
    // What was believed before our turn may have been damaged since.
    if (!is_closed)
        if (auto why = disbelief(*now))
            co_return refused_operation{{std::move(*why)}, {}, std::move(*now)};
    const bool has_key = changed && !changed->key.id.empty();
    if (has_key && (!is_closed || now->ended == outcome::done)) {
        const auto noted =
            co_await book.note_request(changed->key.id, changed->key.asked, now->number);
        if (noted.has_error()) co_return left_operation{std::move(*now), noted.error()};
    }
    if (is_closed) co_return settled_operation{std::move(*now), {}};
    if (changed) {
        auto& asks = now->steps.front().planned;
        asks = device_del_arguments{field(now->subject, "id"), changed->wait_guest}.to_step();
    }
    co_return co_await resume(book, held, std::move(*now));
}

/// What would be done with an unfinished operation, and on what grounds. Changes nothing.
awaitable<operation_report> use_case::preview(operation_record record) {
    held_leases held(shared_);
    if (concerns_guest(record)) {
        const auto turn = co_await take_turn(held, co_await at_.vms.find_again(record));
        if (turn.has_error()) co_return left_operation{std::move(record), turn.error()};
    }
    auto machine = operation_machine::resume(record);
    operation_runner runner(at_, options_, stop_, held);
    previewed_operation report;
    report.seen = co_await runner.look(machine);
    const auto& after = machine.record();
    // Of one that nothing stands of, it is told that it ends so.
    const bool back =
        after.state == operation_state::reverting || after.ended == outcome::rolled_back;
    report.would = back ? "undo what was done" : "go on";
    if (after.ended && after.state != operation_state::closed)
        report.would = "wait: the world does not answer";
    report.record = std::move(record);
    co_return report;
}

awaitable<operation_report> use_case::resume(records& book, const held_leases& held,
                                             operation_record record) {
    auto along = co_await left_by(book, record);
    if (along.has_error()) co_return left_operation{std::move(record), along.error()};
    record.runner = at_.self;
    auto machine = operation_machine::resume(std::move(record));
    sharing others(*this, book, machine.record());
    operation_runner runner(at_, options_, stop_, held);
    co_await runner.run(machine, book, others, std::move(*along));
    note_if_pending(machine.record());
    co_return settled_operation{machine.record(), {}};
}

/// Whether the guest has the device no more: its QEMU has ended, or it gave the device back by
/// itself. What cannot be found out counts as no.
awaitable<bool> use_case::has_lost(operation_record attached) {
    if (attached.kind != operation_kind::attach) co_return false;
    const auto qemu = guest_process(attached);
    if (qemu.pid != 0 && !at_.host.is_alive(qemu)) co_return true;
    const auto seat = shared_.guests.join(co_await at_.vms.find_again(attached));
    const auto turn = co_await seat->take_turn(patient(options_.turn_deadline));
    if (turn.has_error()) co_return false;
    const auto link = co_await seat->reach(options_.greeting_deadline);
    if (link.has_error()) co_return false;
    const auto sight =
        co_await (*link)->look(field(attached.subject, "id"), patient(options_.guest_deadline));
    co_return sight.has_value() && *sight == guest_sight::gone;
}

awaitable<operation_report> use_case::take_home(records& book, operation_record attached) {
    held_leases held(shared_);
    if (!options_.dry_run) {
        auto taken = co_await hold_again(held, attached);
        if (taken.has_error()) co_return left_operation{std::move(attached), taken.error()};
    }
    // Another detach may have taken it home meanwhile, or have left it more to take along.
    auto assigned = co_await book.load_assignments();
    if (assigned.has_error()) co_return refusal(assigned.error());
    const auto still = std::ranges::find(*assigned, attached.number, &operation_record::number);
    if (still == assigned->end()) co_return settled_operation{std::move(attached), {}};
    detach_request request;
    request.id = field(attached.subject, "id");
    co_return co_await detach_held(book, held, *still, std::move(request), request_key());
}

} // namespace vmplug
