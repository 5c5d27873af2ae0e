#include "engine/use_case.hpp"

#include "engine/operation_runner.hpp"
#include "engine/sharing.hpp"

#include <boost/asio/this_coro.hpp>

#include <algorithm>

namespace vmplug {

using boost::asio::awaitable;

operation_report refusal(error why) {
    return refused_operation{{std::move(why)}, {}, {}};
}

bool is_for(const operation_record& record, const std::string& guest, const std::string& id) {
    return names_guest(record.subject, guest) && field(record.subject, "id") == id;
}

awaitable<void> use_case::begin_time() {
    if (options_.deadline)
        stop_.limit(co_await boost::asio::this_coro::executor, at_.time, *options_.deadline);
}

bool concerns_guest(const operation_record& record) {
    return record.kind == operation_kind::attach || record.kind == operation_kind::detach;
}

result<std::shared_ptr<records>> use_case::open_records() const {
    return options_.dry_run ? at_.store.open_to_read() : at_.store.open();
}

result<held_device> use_case::hold(const host_facts& known, host_address address) const {
    auto opened = open_records();
    if (opened.has_error()) return opened.error();
    held_leases held(shared_);
    if (options_.dry_run) {
        auto busy = held.find_holder(known, address);
        return held_device{address, std::move(*opened), std::move(held), std::move(busy)};
    }
    if (auto taken = held.take_device(known, address); taken.has_error()) return taken.error();
    return held_device{address, std::move(*opened), std::move(held)};
}

awaitable<result<held_device>> use_case::hold_device(std::string device) const {
    if (device.empty())
        co_return error{
            error_code::invalid_argument, "DEVICE", "the name of a device cannot be empty", {}};
    // Enough to know what is meant; the rest is read under the leases.
    const auto known = co_await at_.reader.read_names();
    const auto address = find_device(known, device);
    if (address.has_error()) co_return address.error();
    co_return hold(known, *address);
}

awaitable<result<held_device>> use_case::hold_recorded_device(std::string device) const {
    auto there = co_await hold_device(device);
    const auto address = parse_host_address(device);
    if (there.has_value() || there.error().code != error_code::device_not_found || !address)
        co_return there;
    auto gone = hold(host_facts(), *address);
    if (gone.has_error()) co_return gone;
    const auto assigned = co_await gone->book->load_assignments();
    if (assigned.has_error()) co_return assigned.error();
    const auto is_recorded = [&](const operation_record& record) {
        return field(record.subject, "device") == format_address(*address);
    };
    co_return std::ranges::any_of(*assigned, is_recorded) ? std::move(gone) : std::move(there);
}

awaitable<result<operation_record>> use_case::find_earlier(records& book,
                                                           const request_key& key) const {
    if (key.id.empty()) co_return operation_record();
    auto earlier = co_await book.find_request(key.id);
    if (earlier.has_error()) co_return earlier.error();
    if (earlier->operation.number == 0 || earlier->asked == key.asked)
        co_return std::move(earlier->operation);
    co_return error{error_code::invalid_argument, key.id,
                    "this request id stands for another request: " + earlier->asked,
                    "give each request an id of its own"};
}

awaitable<result<void>> use_case::hold_again(held_leases& held, operation_record record) const {
    const auto device = parse_host_address(field(record.subject, "device"));
    if (device.has_error()) co_return device.error();
    const auto known = co_await at_.reader.read_functions();
    // The device's is not waited for: whoever has it works on it.
    if (auto taken = held.take_device(known, *device); taken.has_error()) co_return taken;
    // Its neighbours as well: a device that has left the machine shows no group any more.
    for (const auto& step : record.steps) {
        const auto neighbour = parse_host_address(device_of(step.planned));
        if (neighbour.has_error() || *neighbour == *device) continue;
        if (auto taken = held.take_device(known, *neighbour); taken.has_error()) co_return taken;
    }
    if (!concerns_guest(record)) co_return result<void>{};
    auto guest = co_await at_.vms.find_again(record);
    co_return co_await take_turn(held, std::move(guest));
}

awaitable<std::string> use_case::find_holder(const operation_record& record) const {
    const auto device = parse_host_address(field(record.subject, "device"));
    if (device.has_error()) co_return std::string();
    const auto known = co_await at_.reader.read_functions();
    co_return held_leases(shared_).find_holder(known, *device);
}

awaitable<result<void>> use_case::take_turn(held_leases& held, guest_reference guest) const {
    // Who has it here may be at the longest that anything takes; of others nothing is known.
    const auto turn = co_await held.take_turn(
        std::move(guest), patient(options_.turn_deadline + options_.add_deadline));
    if (turn.has_error() || options_.dry_run) co_return turn;
    co_return co_await held.take_guest(patient(options_.turn_deadline));
}

awaitable<result<situation>> use_case::look_around(records& book) const {
    situation seen;
    seen.host = co_await at_.reader.read_host();
    auto assigned = co_await book.load_assignments();
    if (assigned.has_error()) co_return assigned.error();
    seen.assigned = std::move(*assigned);
    auto open = co_await book.load_open();
    if (open.has_error()) co_return open.error();
    seen.open = std::move(*open);
    co_return seen;
}

awaitable<result<situation>> use_case::look_around(held_device& ours) const {
    auto seen = co_await look_around(*ours.book);
    if (seen.has_value())
        seen->host.abilities[ours.address] =
            co_await at_.reader.read_abilities(seen->host, ours.address);
    co_return seen;
}

/// QEMU shows the path that it was given a device by; who the device is, the host says.
awaitable<result<guest_facts>> use_case::survey(guest_link& link) const {
    auto facts = co_await link.survey(patient(options_.guest_deadline));
    if (facts.has_error()) co_return facts;
    for (auto& device : facts->devices) {
        if (!device.host.starts_with("/sys/")) continue;
        if (const auto address = at_.reader.resolve_device(device.host))
            device.host = format_address(*address);
    }
    co_return facts;
}

awaitable<result<guest_view>> use_case::query_guest(std::string guest) {
    auto found = co_await at_.vms.find(std::move(guest), std::nullopt);
    if (found.has_error()) co_return found.error();
    const auto seat = shared_.guests.join(*found);
    const auto turn = co_await seat->take_turn(patient(options_.turn_deadline));
    if (turn.has_error()) co_return turn.error();
    const auto link = co_await seat->reach(options_.greeting_deadline);
    if (link.has_error()) co_return link.error();
    const auto answering = co_await at_.vms.find_process(*found, **link);
    if (answering.has_error()) co_return answering.error();
    auto facts = co_await survey(**link);
    if (facts.has_error()) co_return facts.error();
    guest_view view;
    view.process = found->process;
    view.monitor = (*link)->address();
    view.facts = std::move(*facts);
    if (found->process && !found->process->name.empty()) view.facts.name = found->process->name;
    co_return view;
}

void use_case::note_if_pending(const operation_record& ended) {
    if (ended.kind == operation_kind::detach && ended.ended == outcome::unplug_pending)
        shared_.pending.note(ended.number);
}

awaitable<operation_report> use_case::carry_out(records& book, const held_leases& held,
                                                work wanted) {
    auto& planned = wanted.planned;
    if (!planned.refusals.empty())
        co_return refused_operation{planned.refusals, std::move(planned), {}};
    if (!wanted.busy.empty())
        planned.notes.push_back("another operation works on it now: " + wanted.busy);
    if (options_.dry_run) co_return planned_operation{std::move(planned)};
    auto record = make_record(wanted.kind, planned);
    record.request_id = wanted.request.id;
    record.asked = wanted.request.asked;
    record.releases = wanted.releases;
    record.runner = at_.self;
    record.started = at_.time.date();
    auto along = co_await left_by(book, record);
    if (along.has_error()) co_return refusal(along.error());
    operation_machine machine(std::move(record));
    operation_runner runner(at_, options_, stop_, held);
    sharing others(*this, book, machine.record());
    co_await runner.run(machine, book, others, std::move(*along));
    note_if_pending(machine.record());
    const auto& after = machine.record();
    // Not even its beginning could be put on record.
    if (after.number == 0 && after.failure)
        co_return refused_operation{{*after.failure}, std::move(planned), {}};
    co_return settled_operation{after, std::move(planned)};
}

} // namespace vmplug
