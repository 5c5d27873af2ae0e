#include "controller/implementation.hpp"

namespace vmplug {

using boost::asio::awaitable;

awaitable<operation_report> controller::attach(std::string guest, std::string device,
                                               attach_request request, std::string request_id,
                                               bool dry_run) {
    auto& self = *implementation_;
    const request_key key{request_id, "attach " + guest + " " + device + " " + request.id};
    // First of all: the guest may have ended, and the device have changed its name, since then.
    auto opened = journal::open(self.options.state_directory);
    if (opened.has_error()) co_return refusal(opened.error());
    auto earlier = self.find_earlier(*opened, key);
    if (earlier.has_error()) co_return refusal(earlier.error());
    if (earlier->number != 0) co_return co_await self.repeat(*opened, std::move(*earlier), dry_run);
    auto reached = find_guest(self.read_qemus(), guest);
    if (reached.has_error()) co_return refusal(reached.error());
    auto ours = self.hold_device(device);
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

awaitable<operation_report> controller::implementation::attach(held_device& ours,
                                                               guest_reference guest,
                                                               attach_request request,
                                                               request_key key, bool dry_run) {
    auto turn = co_await take_turn(ours.held, guest);
    if (turn.has_error()) co_return refusal(turn.error());
    auto link = co_await connect(guest);
    if (link.has_error()) co_return refusal(link.error());
    auto facts = co_await (*link)->survey(options.guest_deadline);
    if (facts.has_error()) co_return refusal(facts.error());
    auto seen = look_around(ours);
    if (seen.has_error()) co_return refusal(seen.error());
    seen->guest = std::move(*facts);
    seen->qemu = guest.process;
    seen->monitor = (*link)->address();
    work wanted;
    wanted.kind = operation_kind::attach;
    wanted.planned = plan_attach(request, *seen);
    if (wanted.planned.subject["guest"].empty()) wanted.planned.subject["guest"] = guest.name();
    wanted.request = std::move(key);
    wanted.guest = std::move(guest);
    wanted.link = std::move(*link);
    wanted.add_deadline = request.add_deadline;
    co_return co_await carry_out(ours.records, std::move(wanted), dry_run);
}

} // namespace vmplug
