#include "controller/implementation.hpp"
#include "controller/see_guest.hpp"

namespace vmplug {
namespace {

/// A device of this host can only go to a QEMU of this host.
error unknown_process(const situation& seen) {
    return {error_code::vm_unproven, seen.monitor,
            "no process of this host is seen to answer there: it may be another host's QEMU",
            "name the guest by its pid; --force goes on without knowing it"};
}

} // namespace

using boost::asio::awaitable;

awaitable<operation_report> controller::attach(std::string guest, std::string device,
                                               attach_request request, std::string request_id,
                                               bool dry_run) {
    auto& self = *implementation_;
    const request_key key{request_id, "attach " + guest + " " + device + " " + request.id};
    // First of all: the guest may have ended, and the device have changed its name, since then.
    auto opened = self.open_journal(dry_run);
    if (opened.has_error()) co_return refusal(opened.error());
    auto earlier = self.find_earlier(*opened, key);
    if (earlier.has_error()) co_return refusal(earlier.error());
    if (earlier->number != 0) co_return co_await self.repeat(*opened, std::move(*earlier), dry_run);
    auto reached = find_guest(self.files, guest, request.uid);
    if (reached.has_error()) co_return refusal(reached.error());
    // A name needs no connection to be somebody else's.
    if (!reached->by_address)
        if (auto owned = check_owner(*reached, request.uid); owned.has_error())
            co_return refusal(owned.error());
    auto ours = self.hold_device(device, dry_run);
    if (ours.has_error()) co_return refusal(ours.error());
    // Again under the lease: the first of two with one id is on record before the second looks.
    earlier = self.find_earlier(ours->records, key);
    if (earlier.has_error()) co_return refusal(earlier.error());
    if (earlier->number != 0) {
        ours->held = self.new_leases();
        co_return co_await self.repeat(ours->records, std::move(*earlier), dry_run);
    }
    request.device = ours->address;
    co_return co_await self.attach(*ours, std::move(*reached), std::move(request), key, dry_run);
}

/// Connects in the guest's turn, and finds out whose guest it is before it is asked for anything.
awaitable<result<std::unique_ptr<guest_link>>>
controller::implementation::reach(leases* held, guest_reference& guest,
                                  std::optional<std::uint32_t> uid) {
    const auto key = guest.lease_key();
    result<void> turn;
    if (held) turn = co_await take_turn(*held, guest);
    if (turn.has_error()) co_return turn.error();
    auto link = co_await connect(guest);
    if (link.has_error()) co_return link.error();
    const auto found = find_process(files, guest, (*link)->descriptor());
    if (found.has_error()) co_return found.error();
    if (auto owned = check_owner(guest, uid); owned.has_error()) co_return owned.error();
    // Whoever names the process waits for its turn by that.
    if (held && guest.lease_key() != key) turn = co_await take_turn(*held, guest);
    if (turn.has_error()) co_return turn.error();
    co_return std::move(*link);
}

awaitable<operation_report> controller::implementation::attach(held_device& ours,
                                                               guest_reference guest,
                                                               attach_request request,
                                                               request_key key, bool dry_run) {
    auto link = co_await reach(dry_run ? nullptr : &ours.held, guest, request.uid);
    if (link.has_error()) co_return refusal(link.error());
    auto facts = co_await survey_guest(**link, files, options.guest_deadline);
    if (facts.has_error()) co_return refusal(facts.error());
    auto seen = look_around(ours);
    if (seen.has_error()) co_return refusal(seen.error());
    seen->guest = std::move(*facts);
    // What a guest calls itself is nothing to find it by.
    seen->guest.name = guest.name();
    seen->qemu = guest.process;
    seen->monitor = (*link)->address();
    seen->view = vmplug::view_device(files, seen->host, seen->qemu, ours.address);
    work wanted;
    wanted.kind = operation_kind::attach;
    wanted.planned = plan_attach(request, *seen);
    if (!guest.process && !request.force)
        wanted.planned.refusals.insert(wanted.planned.refusals.begin(), unknown_process(*seen));
    wanted.request = std::move(key);
    wanted.busy = std::move(ours.busy);
    wanted.guest = std::move(guest);
    wanted.link = std::move(*link);
    wanted.add_deadline = request.add_deadline;
    co_return co_await carry_out(ours.records, std::move(wanted), dry_run);
}

} // namespace vmplug
