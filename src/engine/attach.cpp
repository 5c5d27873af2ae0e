#include "engine/use_case.hpp"

namespace vmplug {
namespace {

/// What a caller's key stands for. What is not said is not in it: the key of a plain request stays
/// what it was in earlier versions, which knew less that could be said.
std::string asked_of(const std::string& guest, const std::string& device,
                     const attach_request& request) {
    auto text = "attach " + guest + " " + device + " " + request.id;
    if (!request.port.empty()) text += " port=" + request.port;
    if (request.driver == assignment_driver::vfio_pci) text += " driver=vfio-pci";
    if (request.driver == assignment_driver::pci_assign) text += " driver=pci-assign";
    if (request.binding == binding_way::driver_override) text += " binding=override";
    if (request.binding == binding_way::new_id) text += " binding=new_id";
    if (request.with_group) text += " with-group";
    for (const auto& [name, value] : request.properties)
        text += " set=" + name + "=" + value;
    return text;
}

/// A device of this host can only go to a QEMU of this host.
error unknown_process(const situation& seen) {
    return {error_code::vm_unproven,
            seen.monitor,
            "no process of this host is seen to answer there: it may be another host's QEMU",
            {},
            advice::name_by_pid_or_force};
}

} // namespace

using boost::asio::awaitable;

awaitable<operation_report> use_case::attach(std::string guest, std::string device,
                                             attach_request request) {
    const request_key key{options_.request_id, asked_of(guest, device, request)};
    co_await begin_time();
    // First of all: the guest may have ended, and the device have changed its name, since then.
    auto opened = open_records();
    if (opened.has_error()) co_return refusal(opened.error());
    auto earlier = co_await find_earlier(**opened, key);
    if (earlier.has_error()) co_return refusal(earlier.error());
    if (earlier->number != 0) co_return co_await repeat(**opened, std::move(*earlier));
    auto reached = co_await at_.vms.find(guest, request.uid);
    if (reached.has_error()) co_return refusal(reached.error());
    // A name needs no connection to be somebody else's.
    if (!reached->by_address)
        if (auto owned = at_.vms.check_owner(*reached, request.uid); owned.has_error())
            co_return refusal(owned.error());
    auto ours = co_await hold_device(device);
    if (ours.has_error()) co_return refusal(ours.error());
    // Again under the lease: the first of two with one id is on record before the second looks.
    earlier = co_await find_earlier(*ours->book, key);
    if (earlier.has_error()) co_return refusal(earlier.error());
    if (earlier->number != 0) {
        ours->held = held_leases(shared_);
        co_return co_await repeat(*ours->book, std::move(*earlier));
    }
    request.device = ours->address;
    co_return co_await attach_held(*ours, std::move(*reached), std::move(request), key);
}

awaitable<result<guest_link*>> use_case::reach(held_leases& held, guest_reference& guest,
                                               std::optional<std::uint32_t> uid) {
    const auto key = guest.lease_key();
    auto turn = co_await take_turn(held, guest);
    if (turn.has_error()) co_return turn.error();
    const auto link = co_await held.seat()->reach(options_.greeting_deadline);
    if (link.has_error()) co_return link.error();
    const auto found = co_await at_.vms.find_process(guest, **link);
    if (found.has_error()) co_return found.error();
    if (auto owned = at_.vms.check_owner(guest, uid); owned.has_error()) co_return owned.error();
    if (guest.lease_key() == key) co_return *link;
    // Whoever names the process waits for its turn by that.
    turn = co_await take_turn(held, guest);
    if (turn.has_error()) co_return turn.error();
    co_return co_await held.seat()->reach(options_.greeting_deadline);
}

awaitable<operation_report> use_case::attach_held(held_device& ours, guest_reference guest,
                                                  attach_request request, request_key key) {
    auto link = co_await reach(ours.held, guest, request.uid);
    if (link.has_error()) co_return refusal(link.error());
    auto facts = co_await survey(**link);
    if (facts.has_error()) co_return refusal(facts.error());
    auto seen = co_await look_around(ours);
    if (seen.has_error()) co_return refusal(seen.error());
    seen->guest = std::move(*facts);
    // What a guest calls itself is nothing to find it by.
    seen->guest.name = guest.name();
    // As it is in our turn: whoever had the turn before may have raised its limits.
    if (guest.process) guest.process = co_await at_.vms.read_process(guest.identity);
    seen->qemu = guest.process;
    seen->monitor = (*link)->address();
    seen->view = co_await at_.reader.view_device(seen->host, seen->qemu, ours.address);
    work wanted;
    wanted.kind = operation_kind::attach;
    wanted.planned = plan_attach(request, *seen);
    if (!guest.process && !request.force)
        wanted.planned.refusals.insert(wanted.planned.refusals.begin(), unknown_process(*seen));
    wanted.request = std::move(key);
    wanted.busy = std::move(ours.busy);
    co_return co_await carry_out(*ours.book, ours.held, std::move(wanted));
}

} // namespace vmplug
