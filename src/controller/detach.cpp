#include "controller/implementation.hpp"
#include "controller/operation_runner.hpp"
#include "controller/step_kind.hpp"
#include "plan/plan_return.hpp"

#include <algorithm>

namespace vmplug {
namespace {

using boost::asio::awaitable;

/// What may be meant by a guest's name and a device's id: open detaches, and assignments that
/// nobody takes back yet.
struct candidates {
    std::vector<operation_record> records;
    std::vector<std::string> ids; ///< of that guest, for a mistyped one
};

result<candidates> find_candidates(journal& records, const std::string& guest,
                                   const std::string& id) {
    auto open = records.load_open();
    if (open.has_error()) return open.error();
    auto assigned = records.load_assignments();
    if (assigned.has_error()) return assigned.error();
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
    return found;
}

std::string list_owners(const std::vector<operation_record>& records) {
    std::string text;
    for (const auto& each : records)
        text += (text.empty() ? "pid " : ", pid ") + field(each.subject, "guest_pid") + " has " +
                field(each.subject, "device");
    return text;
}

/// What stays bound when the guest has let go: as if it had been bound alone.
operation_record left_bound(const operation_record& attached, const process_identity& self) {
    operation_record bound;
    bound.kind = operation_kind::bind;
    bound.state = operation_state::closed;
    bound.ended = outcome::done;
    bound.subject["device"] = field(attached.subject, "device");
    bound.runner = self;
    bound.started = bound.ended_at = std::chrono::system_clock::now();
    bound.steps = binding_steps(attached);
    return bound;
}

} // namespace

awaitable<operation_report> controller::detach(std::string guest, detach_request request,
                                               std::string request_id, bool dry_run) {
    auto& self = *implementation_;
    auto opened = self.open_journal(dry_run);
    if (opened.has_error()) co_return refusal(opened.error());
    const request_key key{request_id, "detach " + guest + " " + request.id};
    auto earlier = self.find_earlier(*opened, key);
    if (earlier.has_error()) co_return refusal(earlier.error());
    if (earlier->number != 0 && earlier->state == operation_state::closed)
        co_return co_await self.repeat(*opened, std::move(*earlier), dry_run);
    // The key may be known already: of the detach that is open.
    const auto new_key = earlier->number == 0 ? key : request_key();
    auto meant = self.find_assignment(*opened, guest, request.id);
    if (meant.has_error()) co_return refusal(meant.error());
    if (meant->kind == operation_kind::detach)
        co_return co_await self.go_on_detaching(*opened, std::move(*meant), std::move(request),
                                                new_key, dry_run);
    auto held = self.new_leases();
    if (!dry_run) {
        auto taken = co_await self.hold_again(held, *meant);
        if (taken.has_error()) co_return refusal(taken.error());
    }
    // Somebody else may have detached it before the leases were ours.
    const auto still = self.find_assignment(*opened, guest, request.id);
    if (still.has_error()) co_return refusal(still.error());
    if (still->number != meant->number)
        co_return refusal({error_code::operation_conflict,
                           guest + " " + request.id,
                           "another operation has changed what is meant; repeat it",
                           {}});
    co_return co_await self.detach(*opened, *still, std::move(request), key, dry_run);
}

/// The one record that a guest's name and a device's id mean. An assignment belongs to a process:
/// that of a QEMU which has ended is not taken for the one of that name that runs now.
result<operation_record> controller::implementation::find_assignment(journal& records,
                                                                     const std::string& guest,
                                                                     const std::string& id) {
    const auto where = guest + " " + id;
    if (guest.empty() || id.empty())
        return error{error_code::invalid_argument,
                     where,
                     "the name of a guest and the id of a device cannot be empty",
                     {}};
    auto found = find_candidates(records, guest, id);
    if (found.has_error()) return found.error();
    std::vector<operation_record> ended;
    auto& living = found->records;
    for (auto each = living.begin(); each != living.end();) {
        const auto qemu = guest_process(*each);
        const bool runs = qemu.pid == 0 || host.is_alive(qemu);
        if (!runs) ended.push_back(std::move(*each));
        each = runs ? each + 1 : living.erase(each);
    }
    if (living.size() == 1) return std::move(living.front());
    if (living.size() > 1)
        return error{error_code::vm_ambiguous, where,
                     "several guests have a device of that id: " + list_owners(living),
                     "name the guest by its pid"};
    if (ended.empty())
        return error{error_code::not_attached, where,
                     "vmplug has attached no device of that id to that guest" +
                         did_you_mean(id, found->ids),
                     "`vmplug list` shows what is assigned to whom"};
    const auto now = find_guest(files, guest);
    if (now.has_value() && now->process)
        return error{error_code::not_attached, where,
                     "vmplug has attached no device of that id to the QEMU that runs now (pid " +
                         std::to_string(now->identity.pid) +
                         "); one that has ended still has: " + list_owners(ended),
                     "`vmplug recover` takes that home"};
    if (ended.size() > 1)
        return error{error_code::vm_ambiguous, where,
                     "several guests that have ended had a device of that id: " +
                         list_owners(ended),
                     "`vmplug recover` takes all of them home"};
    return std::move(ended.front());
}

awaitable<operation_report> controller::implementation::detach(journal& records,
                                                               operation_record attached,
                                                               detach_request request,
                                                               request_key key, bool dry_run) {
    if (const auto fine = check_record(attached); fine.has_error())
        co_return disbelieved(std::move(attached), fine.error());
    auto seen = look_around(records);
    if (seen.has_error()) co_return refusal(seen.error());
    work wanted;
    if (dry_run) wanted.busy = find_holder(attached);
    wanted.kind = operation_kind::detach;
    wanted.planned = plan_detach(request, attached, *seen);
    wanted.request = std::move(key);
    wanted.releases = attached.number;
    wanted.guest = guest_of(files, attached);
    if (wanted.planned.refusals.empty() && !dry_run) {
        auto kept = keep_for_others(records, attached, *seen, request.keep_bound);
        if (kept.has_error()) co_return refusal(kept.error());
    }
    co_return co_await carry_out(records, std::move(wanted), dry_run);
}

/// What the leaving attach knows of the way home goes to whoever still needs it, before anything
/// else happens.
result<void> controller::implementation::keep_for_others(journal& records,
                                                         const operation_record& attached,
                                                         const situation& seen,
                                                         bool keep_bound) const {
    for (auto& heir : hand_over(attached, seen))
        if (auto saved = records.save(heir); saved.has_error()) return saved;
    if (!keep_bound || find_sharer(attached, seen)) return {};
    auto bound = left_bound(attached, self);
    return bound.steps.empty() ? result<void>() : records.save(bound);
}

/// A detach that was left open, with the patience of this one.
awaitable<operation_report>
controller::implementation::go_on_detaching(journal& records, operation_record record,
                                            detach_request request, request_key key, bool dry_run) {
    if (const auto fine = check_record(record); fine.has_error())
        co_return disbelieved(std::move(record), fine.error());
    if (record.steps.empty())
        co_return disbelieved(std::move(record),
                              {error_code::journal_corrupt, "detach", "its steps are missing", {}});
    record.steps.front().planned.arguments["wait_ms"] = std::to_string(request.wait_guest.count());
    if (!dry_run) {
        auto saved = records.save(record);
        if (saved.has_value() && !key.id.empty())
            saved = records.note_request(key.id, key.asked, record.number);
        if (saved.has_error()) co_return refusal(saved.error());
    }
    co_return co_await recover_one(records, std::move(record), dry_run);
}

} // namespace vmplug
