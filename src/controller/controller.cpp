#include "controller/guest_access.hpp"
#include "controller/leases.hpp"
#include "controller/linux_host_control.hpp"
#include "controller/operation_runner.hpp"
#include "controller/qmp_guest_link.hpp"
#include "controller/steps/wait.hpp"
#include "host/read_devices.hpp"
#include "host/read_host.hpp"
#include "host/read_processes.hpp"
#include "journal/journal.hpp"
#include "plan/plan_attach.hpp"
#include "plan/plan_return.hpp"

#include <vmplug/controller.hpp>

#include <algorithm>

namespace vmplug {
namespace {

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

operation_report settled(operation_record record, plan planned) {
    operation_report report;
    report.ended = record.ended;
    report.record = std::move(record);
    report.planned = std::move(planned);
    return report;
}

bool names_guest(const operation_record& record, const std::string& text) {
    const auto& monitor = field(record.subject, "monitor");
    return field(record.subject, "guest") == text || field(record.subject, "guest_pid") == text ||
           monitor == text || monitor == "qmp:" + text;
}

bool is_for(const operation_record& record, const std::string& guest, const std::string& id) {
    return names_guest(record, guest) && field(record.subject, "id") == id;
}

result<operation_record> find_assignment(journal& journal, const std::string& guest,
                                         const std::string& id) {
    auto assigned = journal.load_assignments();
    if (assigned.has_error()) return assigned.error();
    for (auto& record : *assigned)
        if (is_for(record, guest, id)) return std::move(record);
    return error{error_code::not_attached, guest + " " + id,
                 "vmplug has attached no device of that id to that guest",
                 "`vmplug list` shows what is assigned to whom"};
}

} // namespace

struct controller::implementation {
    explicit implementation(controller_options chosen)
        : options(std::move(chosen)), host(files), self(read_own_identity(files)) {}

    controller_options options;
    file_tree files;
    linux_host_control host;
    process_identity self;

    std::string holder() const {
        return "process " + std::to_string(self.pid) + " (" + options.invoked_as + ")";
    }
    leases new_leases() const { return leases(options.state_directory, holder()); }

    operation_record new_record(operation_kind kind, const plan& planned,
                                const std::string& request_id) const;
    result<void> load_situation(journal& journal, situation& seen) const;
    awaitable<result<std::unique_ptr<qmp_guest_link>>> link_to(guest_reference guest) const;

    awaitable<operation_report> attach(journal& journal, leases& held, guest_reference guest,
                                       attach_request request, std::string request_id,
                                       bool dry_run);
    awaitable<operation_report> detach(journal& journal, operation_record attached,
                                       detach_request request, std::string request_id,
                                       bool dry_run);
    awaitable<operation_report> resume(journal& journal, operation_record record);
    awaitable<result<void>> take_all(leases& held, host_facts host_now,
                                     operation_record record) const;
    awaitable<operation_report> go_on(journal& journal, operation_record record,
                                      detach_request request, bool dry_run);
    awaitable<operation_report> preview(journal& journal, operation_record record);
    awaitable<operation_report> recover_one(journal& journal, operation_record record,
                                            bool dry_run);
    awaitable<operation_report> take_home(journal& journal, operation_record attached,
                                          bool dry_run);
    awaitable<operation_report> run_on_host(journal& journal, operation_record record, plan planned,
                                            bool dry_run);
    awaitable<bool> has_lost(const operation_record& attached) const;
    result<void> keep_for_others(journal& journal, const operation_record& attached,
                                 const situation& seen, bool keep_bound) const;
};

operation_record controller::implementation::new_record(operation_kind kind, const plan& planned,
                                                        const std::string& request_id) const {
    operation_record record;
    record.kind = kind;
    record.failure_policy = planned.failure_policy;
    record.forward_from = planned.forward_from;
    record.subject = planned.subject;
    record.request_id = request_id;
    record.runner = self;
    record.started = std::chrono::system_clock::now();
    for (const auto& each : planned.steps) {
        step_record step;
        step.planned = each;
        record.steps.push_back(std::move(step));
    }
    return record;
}

result<void> controller::implementation::load_situation(journal& journal, situation& seen) const {
    auto assigned = journal.load_assignments();
    if (assigned.has_error()) return assigned.error();
    seen.assigned = std::move(*assigned);
    auto open = journal.load_open();
    if (open.has_error()) return open.error();
    seen.open = std::move(*open);
    return {};
}

awaitable<result<std::unique_ptr<qmp_guest_link>>>
controller::implementation::link_to(guest_reference guest) const {
    monitor_options wanted;
    wanted.greeting_deadline = options.greeting_deadline;
    auto connected = co_await connect_monitor(files, std::move(guest), wanted);
    if (connected.has_error()) co_return connected.error();
    co_return std::make_unique<qmp_guest_link>(std::move(*connected));
}

/// The leases are held: what is read from here on stays true until they are given back.
awaitable<operation_report>
controller::implementation::attach(journal& journal, leases& held, guest_reference guest,
                                   attach_request request, std::string request_id, bool dry_run) {
    auto turn = co_await held.take_guest(
        guest.name(),
        guest_lease_key(guest.process ? &*guest.process : nullptr, guest.monitors.front()),
        options.turn_deadline, options.observer.stop_requested);
    if (turn.has_error()) co_return refusal(turn.error());
    auto link = co_await link_to(guest);
    if (link.has_error()) co_return refusal(link.error());
    const auto facts = co_await (*link)->survey(options.guest_deadline);
    if (facts.has_error()) co_return refusal(facts.error());
    const auto host_now = vmplug::read_host(files);
    situation seen{
        host_now, *facts, guest.process ? &*guest.process : nullptr, guest.monitors.front(),
        {},       {}};
    if (auto loaded = load_situation(journal, seen); loaded.has_error())
        co_return refusal(loaded.error());
    auto planned = plan_attach(request, seen);
    if (planned.subject["guest"].empty()) planned.subject["guest"] = guest.name();
    if (!planned.refusals.empty()) co_return refusal(std::move(planned));
    if (dry_run) {
        operation_report report;
        report.planned = std::move(planned);
        co_return report;
    }
    operation_machine machine(new_record(operation_kind::attach, planned, request_id));
    operation_runner runner(options, files, journal, host);
    co_await runner.run(machine, guest, std::move(*link), request.add_deadline);
    co_return settled(machine.record(), std::move(planned));
}

/// What the leaving attach knows of the way home goes to whoever still needs it, before anything
/// else happens.
result<void> controller::implementation::keep_for_others(journal& journal,
                                                         const operation_record& attached,
                                                         const situation& seen,
                                                         bool keep_bound) const {
    for (auto& heir : hand_over(attached, seen))
        if (auto saved = journal.save(heir); saved.has_error()) return saved;
    if (!keep_bound || find_sharer(attached, seen)) return {};
    operation_record bound;
    bound.kind = operation_kind::bind;
    bound.state = operation_state::closed;
    bound.ended = outcome::done;
    bound.subject["device"] = field(attached.subject, "device");
    bound.runner = self;
    bound.started = bound.ended_at = std::chrono::system_clock::now();
    bound.steps = binding_steps(attached);
    return bound.steps.empty() ? result<void>() : journal.save(bound);
}

awaitable<operation_report>
controller::implementation::detach(journal& journal, operation_record attached,
                                   detach_request request, std::string request_id, bool dry_run) {
    const auto host_now = vmplug::read_host(files);
    const guest_facts no_facts;
    situation seen{host_now, no_facts, nullptr, {}, {}, {}};
    if (auto loaded = load_situation(journal, seen); loaded.has_error())
        co_return refusal(loaded.error());
    auto planned = plan_detach(request, attached, seen);
    if (!planned.refusals.empty()) co_return refusal(std::move(planned));
    if (dry_run) {
        operation_report report;
        report.planned = std::move(planned);
        co_return report;
    }
    if (auto kept = keep_for_others(journal, attached, seen, request.keep_bound); kept.has_error())
        co_return refusal(kept.error());
    auto record = new_record(operation_kind::detach, planned, request_id);
    record.releases = attached.number;
    operation_machine machine(std::move(record));
    operation_runner runner(options, files, journal, host);
    co_await runner.run(machine, guest_of(attached, host_now.qemus), nullptr,
                        options.guest_deadline);
    co_return settled(machine.record(), std::move(planned));
}

awaitable<operation_report> controller::implementation::resume(journal& journal,
                                                               operation_record record) {
    process_reading nothing_more;
    const auto qemus = read_processes(files, nothing_more).qemus;
    auto guest = guest_of(record, qemus);
    record.runner = self;
    auto machine = operation_machine::resume(std::move(record));
    operation_runner runner(options, files, journal, host);
    co_await runner.run(machine, std::move(guest), nullptr, attach_request().add_deadline);
    co_return settled(machine.record(), plan());
}

/// Leases for an operation that is on record. The device's is not waited for: whoever has it works
/// on it.
awaitable<result<void>> controller::implementation::take_all(leases& held, host_facts host_now,
                                                             operation_record record) const {
    const auto device = parse_host_address(field(record.subject, "device"));
    if (device.has_error()) co_return device.error();
    if (auto taken = held.take_device(host_now, *device); taken.has_error()) co_return taken;
    if (record.kind == operation_kind::bind || record.kind == operation_kind::release)
        co_return result<void>{};
    const auto guest = guest_of(record, host_now.qemus);
    auto name = guest.name();
    auto key = guest_lease_key(guest.process ? &*guest.process : nullptr, guest.monitors.front());
    co_return co_await held.take_guest(std::move(name), std::move(key), options.turn_deadline,
                                       options.observer.stop_requested);
}

/// What would be done with an unfinished operation, and on what grounds. Changes nothing.
awaitable<operation_report> controller::implementation::preview(journal& journal,
                                                                operation_record record) {
    process_reading nothing_more;
    auto guest = guest_of(record, read_processes(files, nothing_more).qemus);
    auto machine = operation_machine::resume(record);
    operation_runner runner(options, files, journal, host);
    operation_report report;
    report.seen = co_await runner.look(machine, std::move(guest));
    const auto& after = machine.record();
    const bool back = after.state == operation_state::reverting;
    report.would = back ? "undo what was done" : "go on";
    if (after.ended == outcome::unknown) report.would = "wait: the world does not answer";
    report.record = std::move(record);
    co_return report;
}

/// A detach that was left open, with the patience of this one.
awaitable<operation_report> controller::implementation::go_on(journal& journal,
                                                              operation_record record,
                                                              detach_request request,
                                                              bool dry_run) {
    record.steps.front().planned.arguments["wait_ms"] = std::to_string(request.wait_guest.count());
    if (!dry_run)
        if (auto saved = journal.save(record); saved.has_error()) co_return refusal(saved.error());
    co_return co_await recover_one(journal, std::move(record), dry_run);
}

awaitable<operation_report>
controller::implementation::recover_one(journal& journal, operation_record record, bool dry_run) {
    auto held = new_leases();
    auto taken = co_await take_all(held, vmplug::read_host(files), record);
    if (taken.has_error()) {
        operation_report report;
        report.record = std::move(record);
        report.refusals.push_back(taken.error());
        co_return report;
    }
    if (dry_run) co_return co_await preview(journal, std::move(record));
    // It may have been settled while we waited.
    auto now = journal.load(record.number);
    if (now.has_error()) co_return refusal(now.error());
    if (now->state == operation_state::closed) co_return settled(std::move(*now), plan());
    co_return co_await resume(journal, std::move(*now));
}

/// Whether the guest has the device no more: its QEMU has ended, or it gave the device back by
/// itself. What cannot be found out counts as no.
awaitable<bool> controller::implementation::has_lost(const operation_record& attached) const {
    if (attached.kind != operation_kind::attach) co_return false;
    const auto qemu = qemu_of(attached);
    auto& control = const_cast<linux_host_control&>(host);
    if (qemu.pid != 0 && !control.is_alive(qemu)) co_return true;
    process_reading nothing_more;
    auto link = co_await link_to(guest_of(attached, read_processes(files, nothing_more).qemus));
    if (link.has_error()) co_return false;
    const auto sight =
        co_await (*link)->look(field(attached.subject, "id"), options.guest_deadline);
    co_return sight.has_value() && *sight == guest_sight::gone;
}

awaitable<operation_report>
controller::implementation::take_home(journal& journal, operation_record attached, bool dry_run) {
    detach_request request;
    request.id = field(attached.subject, "id");
    auto held = new_leases();
    auto taken = co_await take_all(held, vmplug::read_host(files), attached);
    if (taken.has_error()) {
        operation_report report;
        report.record = std::move(attached);
        report.refusals.push_back(taken.error());
        co_return report;
    }
    // Another detach may have taken it home meanwhile, or have left it more to take along.
    auto assigned = journal.load_assignments();
    if (assigned.has_error()) co_return refusal(assigned.error());
    const auto still = std::ranges::find(*assigned, attached.number, &operation_record::number);
    if (still == assigned->end()) co_return settled(std::move(attached), plan());
    co_return co_await detach(journal, *still, std::move(request), {}, dry_run);
}

controller::controller(controller_options options)
    : implementation_(std::make_unique<implementation>(std::move(options))) {}
controller::~controller() = default;

host_facts controller::read_host(bool monitor_clients, bool kernel_log) const {
    host_reading wanted;
    wanted.monitor_clients = monitor_clients;
    wanted.kernel_log = kernel_log;
    return vmplug::read_host(implementation_->files, wanted);
}

std::vector<qemu_process> controller::read_qemus(bool monitor_clients) const {
    process_reading wanted;
    wanted.monitor_clients = monitor_clients;
    return read_processes(implementation_->files, wanted).qemus;
}

awaitable<result<std::unique_ptr<monitor>>> controller::connect(std::string guest) const {
    // An address says all that is needed; a name is looked for among the processes.
    const bool is_address = guest.find('/') != std::string::npos || guest.starts_with("tcp:");
    const auto found =
        find_guest(is_address ? std::vector<qemu_process>() : read_qemus(false), guest);
    if (found.has_error()) co_return found.error();
    monitor_options wanted;
    wanted.greeting_deadline = implementation_->options.greeting_deadline;
    co_return co_await connect_monitor(implementation_->files, *found, wanted);
}

awaitable<result<guest_view>> controller::query_guest(std::string guest) const {
    const auto found = find_guest(read_qemus(false), guest);
    if (found.has_error()) co_return found.error();
    auto link = co_await implementation_->link_to(*found);
    if (link.has_error()) co_return link.error();
    auto facts = co_await (*link)->survey(implementation_->options.guest_deadline);
    if (facts.has_error()) co_return facts.error();
    guest_view view;
    view.process = found->process;
    view.monitor = found->monitors.front();
    view.facts = std::move(*facts);
    co_return view;
}

/// An earlier operation of the same key, as a report; nothing when there is none.
static result<std::optional<operation_report>> find_repeated(journal& journal,
                                                             const std::string& request_id) {
    if (request_id.empty()) return std::optional<operation_report>();
    auto earlier = journal.find_request(request_id);
    if (earlier.has_error()) return earlier.error();
    if (earlier->number == 0) return std::optional<operation_report>();
    auto report = settled(std::move(*earlier), plan());
    report.repeated = true;
    return std::optional(std::move(report));
}

awaitable<operation_report> controller::attach(std::string guest, std::string device,
                                               attach_request request, std::string request_id,
                                               bool dry_run) {
    auto& self = *implementation_;
    // Enough to know what is meant; everything is read under the leases.
    host_facts host_now;
    host_now.functions = read_functions(self.files);
    host_now.qemus = read_qemus(false);
    auto found_guest = find_guest(host_now.qemus, guest);
    if (found_guest.has_error()) co_return refusal(found_guest.error());
    const auto found_device = find_device(host_now, device);
    if (found_device.has_error()) co_return refusal(found_device.error());
    request.device = *found_device;
    auto opened = journal::open(self.options.state_directory);
    if (opened.has_error()) co_return refusal(opened.error());
    auto held = self.new_leases();
    if (auto taken = held.take_device(host_now, request.device); taken.has_error())
        co_return refusal(taken.error());
    // Under the lease: the first of two with one key is on record before the second looks.
    auto repeated = find_repeated(*opened, request_id);
    if (repeated.has_error()) co_return refusal(repeated.error());
    if (*repeated) co_return std::move(**repeated);
    co_return co_await self.attach(*opened, held, std::move(*found_guest), std::move(request),
                                   std::move(request_id), dry_run);
}

awaitable<operation_report> controller::detach(std::string guest, detach_request request,
                                               std::string request_id, bool dry_run) {
    auto& self = *implementation_;
    auto opened = journal::open(self.options.state_directory);
    if (opened.has_error()) co_return refusal(opened.error());
    const auto repeated = find_repeated(*opened, request_id);
    if (repeated.has_error()) co_return refusal(repeated.error());
    if (*repeated && (*repeated)->record.state == operation_state::closed) co_return **repeated;
    auto open = opened->load_open();
    if (open.has_error()) co_return refusal(open.error());
    const auto unfinished = std::ranges::find_if(*open, [&](const auto& record) {
        return record.kind == operation_kind::detach && is_for(record, guest, request.id);
    });
    if (unfinished != open->end())
        co_return co_await self.go_on(*opened, *unfinished, std::move(request), dry_run);
    const auto attached = find_assignment(*opened, guest, request.id);
    if (attached.has_error()) co_return refusal(attached.error());
    auto held = self.new_leases();
    auto taken = co_await self.take_all(held, read_host(false, false), *attached);
    if (taken.has_error()) co_return refusal(taken.error());
    // Somebody else may have detached it before the leases were ours.
    const auto still = find_assignment(*opened, guest, request.id);
    if (still.has_error()) co_return refusal(still.error());
    co_return co_await self.detach(*opened, *still, std::move(request), std::move(request_id),
                                   dry_run);
}

/// Runs what was planned for the host alone.
awaitable<operation_report> controller::implementation::run_on_host(journal& journal,
                                                                    operation_record record,
                                                                    plan planned, bool dry_run) {
    if (!planned.refusals.empty()) co_return refusal(std::move(planned));
    if (dry_run) {
        operation_report report;
        report.planned = std::move(planned);
        co_return report;
    }
    operation_machine machine(std::move(record));
    operation_runner runner(options, files, journal, host);
    co_await runner.run(machine, guest_reference(), nullptr, options.guest_deadline);
    co_return settled(machine.record(), std::move(planned));
}

awaitable<operation_report> controller::bind(std::string device, bind_request request,
                                             bool dry_run) {
    auto& self = *implementation_;
    const auto host_now = read_host(false, false);
    const auto found = find_device(host_now, device);
    if (found.has_error()) co_return refusal(found.error());
    request.device = *found;
    auto opened = journal::open(self.options.state_directory);
    if (opened.has_error()) co_return refusal(opened.error());
    auto held = self.new_leases();
    if (auto taken = held.take_device(host_now, request.device); taken.has_error())
        co_return refusal(taken.error());
    const guest_facts no_facts;
    const auto under_lease = read_host(false, false);
    situation seen{under_lease, no_facts, nullptr, {}, {}, {}};
    if (auto loaded = self.load_situation(*opened, seen); loaded.has_error())
        co_return refusal(loaded.error());
    auto planned = plan_bind(request, seen);
    auto record = self.new_record(operation_kind::bind, planned, {});
    co_return co_await self.run_on_host(*opened, std::move(record), std::move(planned), dry_run);
}

awaitable<operation_report> controller::release(std::string device, bool dry_run) {
    auto& self = *implementation_;
    const auto host_now = read_host(false, false);
    const auto found = find_device(host_now, device);
    if (found.has_error()) co_return refusal(found.error());
    auto opened = journal::open(self.options.state_directory);
    if (opened.has_error()) co_return refusal(opened.error());
    auto held = self.new_leases();
    if (auto taken = held.take_device(host_now, *found); taken.has_error())
        co_return refusal(taken.error());
    const guest_facts no_facts;
    const auto under_lease = read_host(false, false);
    situation seen{under_lease, no_facts, nullptr, {}, {}, {}};
    if (auto loaded = self.load_situation(*opened, seen); loaded.has_error())
        co_return refusal(loaded.error());
    const auto bound = std::ranges::find_if(seen.assigned, [&](const auto& record) {
        return record.kind == operation_kind::bind &&
               field(record.subject, "device") == format_address(*found);
    });
    if (bound == seen.assigned.end())
        co_return refusal({error_code::not_attached, format_address(*found),
                           "vmplug has not bound this device",
                           "`vmplug list` shows what it has; `vmplug detach` ends an attach"});
    auto planned = plan_release(*bound, seen);
    auto record = self.new_record(operation_kind::release, planned, {});
    record.releases = bound->number;
    co_return co_await self.run_on_host(*opened, std::move(record), std::move(planned), dry_run);
}

awaitable<result<std::vector<operation_report>>> controller::recover(bool dry_run) {
    auto& self = *implementation_;
    auto opened = journal::open(self.options.state_directory);
    if (opened.has_error()) co_return opened.error();
    auto open = opened->load_open();
    if (open.has_error()) co_return open.error();
    std::vector<operation_report> reports;
    for (auto& record : *open)
        reports.push_back(co_await self.recover_one(*opened, std::move(record), dry_run));
    auto assigned = opened->load_assignments();
    if (assigned.has_error()) co_return assigned.error();
    for (auto& record : *assigned)
        if (co_await self.has_lost(record))
            reports.push_back(co_await self.take_home(*opened, std::move(record), dry_run));
    co_return reports;
}

result<std::vector<operation_record>> controller::assignments() const {
    auto opened = journal::open_to_read(implementation_->options.state_directory);
    if (opened.has_error()) return opened.error();
    return opened->load_assignments();
}

result<std::vector<operation_record>> controller::open_operations() const {
    auto opened = journal::open_to_read(implementation_->options.state_directory);
    if (opened.has_error()) return opened.error();
    return opened->load_open();
}

result<std::vector<operation_record>> controller::latest_operations(std::size_t count) const {
    auto opened = journal::open_to_read(implementation_->options.state_directory);
    if (opened.has_error()) return opened.error();
    return opened->load_latest(count);
}

result<operation_record> controller::load_operation(std::int64_t number) const {
    auto opened = journal::open_to_read(implementation_->options.state_directory);
    if (opened.has_error()) return opened.error();
    return opened->load(number);
}

bool controller::is_running(const operation_record& record) const {
    return record.state != operation_state::closed && implementation_->host.is_alive(record.runner);
}

std::string describe_step(const step& planned) {
    const auto* kind = find_step_kind(planned.kind);
    return kind ? kind->describe(planned.arguments) : planned.kind;
}

std::vector<std::string> manual_undo(const operation_record& record) {
    std::vector<std::string> commands;
    for (auto step = record.steps.rbegin(); step != record.steps.rend(); ++step) {
        const auto* kind = find_step_kind(step->planned.kind);
        const bool stands = step->state == step_state::begun || step->state == step_state::applied;
        if (!kind || !stands) continue;
        for (auto& command : kind->manual_undo(step->planned.arguments, step->prior_state))
            commands.push_back(std::move(command));
    }
    return commands;
}

} // namespace vmplug
