#include "controller/implementation.hpp"

#include "controller/operation_runner.hpp"
#include "host/read_devices.hpp"
#include "host/read_host.hpp"
#include "host/read_processes.hpp"

#include <algorithm>

namespace vmplug {

using boost::asio::awaitable;

operation_report refusal(error why) {
    operation_report report;
    report.ended = outcome::refused;
    report.refusals.push_back(std::move(why));
    return report;
}

operation_report refusal(plan planned) {
    operation_report report;
    report.ended = outcome::refused;
    report.refusals = planned.refusals;
    report.planned = std::move(planned);
    return report;
}

operation_report disbelieved(operation_record record, error why) {
    auto report = refusal(std::move(why));
    report.record = std::move(record);
    return report;
}

operation_report left_alone(operation_record record, error why) {
    operation_report report;
    report.record = std::move(record);
    report.refusals.push_back(std::move(why));
    return report;
}

operation_report settled(operation_record record) {
    operation_report report;
    report.ended = record.ended;
    report.record = std::move(record);
    return report;
}

bool is_for(const operation_record& record, const std::string& guest, const std::string& id) {
    return names_guest(record.subject, guest) && field(record.subject, "id") == id;
}

controller::implementation::implementation(controller_options chosen)
    : options(std::move(chosen)), host(files), self(read_own_identity(files)) {}

leases controller::implementation::new_leases() const {
    return leases(options.state_directory,
                  "process " + std::to_string(self.pid) + " (" + options.invoked_as + ")");
}

result<journal> controller::implementation::open_journal(bool dry_run) const {
    return dry_run ? journal::open_to_read(options.state_directory)
                   : journal::open(options.state_directory);
}

result<held_device> controller::implementation::hold(const host_facts& known, host_address address,
                                                     bool dry_run) const {
    auto opened = open_journal(dry_run);
    if (opened.has_error()) return opened.error();
    auto held = new_leases();
    if (dry_run) {
        auto busy = held.find_holder(known, address);
        return held_device{address, std::move(*opened), std::move(held), std::move(busy)};
    }
    if (auto taken = held.take_device(known, address); taken.has_error()) return taken.error();
    return held_device{address, std::move(*opened), std::move(held)};
}

result<held_device> controller::implementation::hold_device(const std::string& device,
                                                            bool dry_run) const {
    if (device.empty())
        return error{
            error_code::invalid_argument, "DEVICE", "the name of a device cannot be empty", {}};
    // Enough to know what is meant; the rest is read under the leases.
    const auto known = read_names(files);
    const auto address = find_device(known, device);
    if (address.has_error()) return address.error();
    return hold(known, *address, dry_run);
}

result<held_device> controller::implementation::hold_recorded_device(const std::string& device,
                                                                     bool dry_run) const {
    auto there = hold_device(device, dry_run);
    const auto address = parse_host_address(device);
    if (there.has_value() || there.error().code != error_code::device_not_found || !address)
        return there;
    auto gone = hold(host_facts(), *address, dry_run);
    if (gone.has_error()) return gone;
    const auto assigned = gone->records.load_assignments();
    if (assigned.has_error()) return assigned.error();
    const auto is_recorded = [&](const operation_record& record) {
        return field(record.subject, "device") == format_address(*address);
    };
    return std::ranges::any_of(*assigned, is_recorded) ? std::move(gone) : std::move(there);
}

result<operation_record> controller::implementation::find_earlier(journal& records,
                                                                  const request_key& key) const {
    if (key.id.empty()) return operation_record();
    auto earlier = records.find_request(key.id);
    if (earlier.has_error()) return earlier.error();
    if (earlier->operation.number == 0 || earlier->asked == key.asked)
        return std::move(earlier->operation);
    return error{error_code::invalid_argument, key.id,
                 "this request id stands for another request: " + earlier->asked,
                 "give each request an id of its own"};
}

awaitable<result<void>> controller::implementation::hold_again(leases& held,
                                                               operation_record record) const {
    const auto device = parse_host_address(field(record.subject, "device"));
    if (device.has_error()) co_return device.error();
    host_facts known;
    known.functions = read_functions(files);
    // The device's is not waited for: whoever has it works on it.
    if (auto taken = held.take_device(known, *device); taken.has_error()) co_return taken;
    if (record.kind == operation_kind::bind || record.kind == operation_kind::release)
        co_return result<void>{};
    auto guest = guest_of(files, record);
    co_return co_await take_turn(held, std::move(guest));
}

std::string controller::implementation::find_holder(const operation_record& record) const {
    const auto device = parse_host_address(field(record.subject, "device"));
    if (device.has_error()) return {};
    host_facts known;
    known.functions = read_functions(files);
    return new_leases().find_holder(known, *device);
}

awaitable<result<void>> controller::implementation::take_turn(leases& held,
                                                              guest_reference guest) const {
    return held.take_guest(std::move(guest), options.turn_deadline,
                           options.observer.stop_requested);
}

result<situation> controller::implementation::look_around(journal& records) const {
    situation seen;
    seen.host = vmplug::read_host(files);
    auto assigned = records.load_assignments();
    if (assigned.has_error()) return assigned.error();
    seen.assigned = std::move(*assigned);
    auto open = records.load_open();
    if (open.has_error()) return open.error();
    seen.open = std::move(*open);
    return seen;
}

result<situation> controller::implementation::look_around(held_device& ours) const {
    auto seen = look_around(ours.records);
    if (seen.has_value())
        seen->host.abilities[ours.address] =
            vmplug::read_abilities(files, seen->host, ours.address);
    return seen;
}

awaitable<result<std::unique_ptr<guest_link>>>
controller::implementation::connect(guest_reference guest) const {
    return connect_guest(files, std::move(guest), options);
}

awaitable<operation_report> controller::implementation::carry_out(journal& records, work wanted,
                                                                  bool dry_run) {
    if (!wanted.planned.refusals.empty()) co_return refusal(std::move(wanted.planned));
    if (!wanted.busy.empty())
        wanted.planned.notes.push_back("another operation works on it now: " + wanted.busy);
    operation_report report;
    if (!dry_run) {
        auto record = make_record(wanted.kind, wanted.planned);
        record.request_id = wanted.request.id;
        record.asked = wanted.request.asked;
        record.releases = wanted.releases;
        record.runner = self;
        record.started = std::chrono::system_clock::now();
        operation_machine machine(std::move(record));
        operation_runner runner(options, files, records, host);
        co_await runner.run(machine, std::move(wanted.guest), std::move(wanted.link),
                            wanted.add_deadline);
        report = settled(machine.record());
    }
    report.planned = std::move(wanted.planned);
    co_return report;
}

} // namespace vmplug
