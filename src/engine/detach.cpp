#include "engine/use_case.hpp"
#include "plan/plan_return.hpp"
#include "step/step_kind.hpp"

#include <algorithm>

namespace vmplug {
namespace {

using boost::asio::awaitable;

/// What a caller's key stands for; how long it waits is no part of it.
std::string asked_of(const std::string& guest, const detach_request& request) {
    return "detach " + guest + " " + request.id + (request.keep_bound ? " keep-bound" : "");
}

/// What may be meant by a guest's name and a device's id: open detaches, and assignments that
/// nobody takes back yet.
struct candidates {
    std::vector<operation_record> records;
    std::vector<std::string> ids; ///< of that guest, for a mistyped one
};

awaitable<result<candidates>> find_candidates(records& book, std::string guest, std::string id) {
    auto open = co_await book.load_open();
    if (open.has_error()) co_return open.error();
    auto assigned = co_await book.load_assignments();
    if (assigned.has_error()) co_return assigned.error();
    candidates found;
    for (auto& record : *open)
        if (record.kind == operation_kind::detach && is_for(record, guest, id))
            found.records.push_back(std::move(record));
    for (auto& record : *assigned) {
        const bool leaving = std::ranges::find(found.records, record.number,
                                               &operation_record::releases) != found.records.end();
        if (names_guest(record.subject, guest)) found.ids.push_back(field(record.subject, "id"));
        if (is_for(record, guest, id) && !leaving) found.records.push_back(std::move(record));
    }
    co_return found;
}

std::string list_owners(const std::vector<operation_record>& records) {
    std::string text;
    for (const auto& each : records)
        text += (text.empty() ? "pid " : ", pid ") + field(each.subject, "guest_pid") + " has " +
                field(each.subject, "device");
    return text;
}

/// What stays bound when the guest has let go: as if it had been bound alone.
operation_record left_bound(const operation_record& attached, const world& at) {
    operation_record bound;
    bound.kind = operation_kind::bind;
    bound.state = operation_state::closed;
    bound.ended = outcome::done;
    bound.subject["device"] = field(attached.subject, "device");
    bound.runner = at.self;
    bound.started = bound.ended_at = at.time.date();
    bound.steps = binding_steps(attached);
    return bound;
}

} // namespace

awaitable<operation_report> use_case::detach(std::string guest, detach_request request) {
    co_await begin_time();
    auto opened = open_records();
    if (opened.has_error()) co_return refusal(opened.error());
    const request_key key{options_.request_id, asked_of(guest, request)};
    auto& book = **opened;
    auto earlier = co_await find_earlier(book, key);
    if (earlier.has_error()) co_return refusal(earlier.error());
    if (earlier->number != 0 && earlier->state == operation_state::closed)
        co_return co_await repeat(book, std::move(*earlier));
    // The key is known already: of a detach that is open.
    if (earlier->number != 0)
        co_return co_await go_on_detaching(book, std::move(*earlier), std::move(request),
                                           request_key());
    auto meant = co_await find_assignment(book, guest, request.id);
    if (meant.has_error()) co_return refusal(meant.error());
    if (meant->kind == operation_kind::detach)
        co_return co_await go_on_detaching(book, std::move(*meant), std::move(request), key);
    held_leases held(shared_);
    if (!options_.dry_run) {
        auto taken = co_await hold_again(held, *meant);
        if (taken.has_error()) co_return refusal(taken.error());
    }
    // Somebody else may have detached it before the leases were ours.
    const auto still = co_await find_assignment(book, guest, request.id);
    if (still.has_error()) co_return refusal(still.error());
    if (still->number != meant->number)
        co_return refusal({error_code::operation_conflict,
                           guest + " " + request.id,
                           "another operation has changed what is meant; repeat it",
                           {}});
    co_return co_await detach_held(book, held, *still, std::move(request), key);
}

/// The one record that a guest's name and a device's id mean. An assignment belongs to a process:
/// that of a QEMU which has ended is not taken for the one of that name that runs now.
awaitable<result<operation_record>> use_case::find_assignment(records& book, std::string guest,
                                                              std::string id) {
    const auto where = guest + " " + id;
    if (guest.empty() || id.empty())
        co_return error{error_code::invalid_argument,
                        where,
                        "the name of a guest and the id of a device cannot be empty",
                        {}};
    auto found = co_await find_candidates(book, guest, id);
    if (found.has_error()) co_return found.error();
    std::vector<operation_record> ended;
    auto& living = found->records;
    for (auto each = living.begin(); each != living.end();) {
        const auto qemu = guest_process(*each);
        const bool runs = qemu.pid == 0 || at_.host.is_alive(qemu);
        if (!runs) ended.push_back(std::move(*each));
        each = runs ? each + 1 : living.erase(each);
    }
    if (living.size() == 1) co_return std::move(living.front());
    if (living.size() > 1)
        co_return error{error_code::vm_ambiguous, where,
                        "several guests have a device of that id: " + list_owners(living),
                        "name the guest by its pid"};
    if (ended.empty())
        co_return error{error_code::not_attached,
                        where,
                        "vmplug has attached no device of that id to that guest" +
                            did_you_mean(id, found->ids),
                        {},
                        advice::list_assignments};
    const auto now = co_await at_.vms.find(guest, std::nullopt);
    if (now.has_value() && now->process)
        co_return error{error_code::not_attached,
                        where,
                        "vmplug has attached no device of that id to the QEMU that runs now (pid " +
                            std::to_string(now->identity.pid) +
                            "); one that has ended still has: " + list_owners(ended),
                        {},
                        advice::recover};
    if (ended.size() > 1)
        co_return error{error_code::vm_ambiguous,
                        where,
                        "several guests that have ended had a device of that id: " +
                            list_owners(ended),
                        {},
                        advice::recover_all};
    co_return std::move(ended.front());
}

awaitable<operation_report> use_case::detach_held(records& book, held_leases& held,
                                                  operation_record attached, detach_request request,
                                                  request_key key) {
    if (const auto fine = check_record(attached); fine.has_error())
        co_return refused_operation{{fine.error()}, {}, std::move(attached)};
    auto seen = co_await look_around(book);
    if (seen.has_error()) co_return refusal(seen.error());
    work wanted;
    if (options_.dry_run) wanted.busy = co_await find_holder(attached);
    wanted.kind = operation_kind::detach;
    wanted.planned = plan_detach(request, attached, *seen);
    wanted.request = std::move(key);
    wanted.releases = attached.number;
    co_return co_await carry_out(book, held, std::move(wanted));
}

/// What the end of a detach leaves bound. It is on record together with that end: before it would
/// be said of a device that the guest still has, and after it might be lost.
awaitable<result<std::vector<operation_record>>>
use_case::left_by(records& book, const operation_record& detach) const {
    std::vector<operation_record> left;
    if (detach.kind != operation_kind::detach || !keeps_bound(detach.subject)) co_return left;
    const auto attached = co_await book.load(detach.releases);
    if (attached.has_error()) co_return attached.error();
    auto bound = left_bound(*attached, at_);
    if (!bound.steps.empty()) left.push_back(std::move(bound));
    co_return left;
}

/// A detach that was left open, with the patience of this one.
awaitable<operation_report> use_case::go_on_detaching(records& book, operation_record record,
                                                      detach_request request, request_key key) {
    std::optional<patience> changed(patience{request.wait_guest, std::move(key)});
    co_return co_await recover_one(book, std::move(record), std::move(changed));
}

} // namespace vmplug
