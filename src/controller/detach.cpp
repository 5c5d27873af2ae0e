#include "controller/implementation.hpp"
#include "controller/operation_runner.hpp"
#include "plan/plan_return.hpp"

#include <algorithm>

namespace vmplug {
namespace {

using boost::asio::awaitable;

result<operation_record> find_assignment(journal& records, const std::string& guest,
                                         const std::string& id) {
    auto assigned = records.load_assignments();
    if (assigned.has_error()) return assigned.error();
    std::vector<std::string> ids;
    for (auto& record : *assigned) {
        if (is_for(record, guest, id)) return std::move(record);
        if (names_guest(record.subject, guest)) ids.push_back(field(record.subject, "id"));
    }
    return error{error_code::not_attached, guest + " " + id,
                 "vmplug has attached no device of that id to that guest" + did_you_mean(id, ids),
                 "`vmplug list` shows what is assigned to whom"};
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
    auto opened = journal::open(self.options.state_directory);
    if (opened.has_error()) co_return refusal(opened.error());
    const request_key key{request_id, "detach " + guest + " " + request.id};
    auto earlier = self.find_earlier(*opened, key);
    if (earlier.has_error()) co_return refusal(earlier.error());
    if (earlier->number != 0 && earlier->state == operation_state::closed)
        co_return co_await self.repeat(*opened, std::move(*earlier), dry_run);
    auto open = opened->load_open();
    if (open.has_error()) co_return refusal(open.error());
    // The key may be known already: of the detach that is open.
    const auto new_key = earlier->number == 0 ? key : request_key();
    for (auto& record : *open)
        if (record.kind == operation_kind::detach && is_for(record, guest, request.id))
            co_return co_await self.go_on_detaching(*opened, std::move(record), std::move(request),
                                                    new_key, dry_run);
    const auto attached = find_assignment(*opened, guest, request.id);
    if (attached.has_error()) co_return refusal(attached.error());
    auto held = self.new_leases();
    auto taken = co_await self.hold_again(held, *attached);
    if (taken.has_error()) co_return refusal(taken.error());
    // Somebody else may have detached it before the leases were ours.
    const auto still = find_assignment(*opened, guest, request.id);
    if (still.has_error()) co_return refusal(still.error());
    co_return co_await self.detach(*opened, *still, std::move(request), key, dry_run);
}

awaitable<operation_report> controller::implementation::detach(journal& records,
                                                               operation_record attached,
                                                               detach_request request,
                                                               request_key key, bool dry_run) {
    auto seen = look_around(records);
    if (seen.has_error()) co_return refusal(seen.error());
    work wanted;
    wanted.kind = operation_kind::detach;
    wanted.planned = plan_detach(request, attached, *seen);
    wanted.request = std::move(key);
    wanted.releases = attached.number;
    wanted.guest = guest_of(attached, seen->host.qemus);
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
