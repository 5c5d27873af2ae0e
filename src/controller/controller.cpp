#include "controller/human_monitor.hpp"
#include "controller/implementation.hpp"
#include "controller/see_guest.hpp"
#include "controller/step_kind.hpp"
#include "host/read_host.hpp"
#include "host/read_processes.hpp"

#include <algorithm>

namespace vmplug {

using boost::asio::awaitable;

controller::controller(controller_options options)
    : implementation_(std::make_unique<implementation>(std::move(options))) {}
controller::~controller() = default;

host_facts controller::read_host(bool monitor_clients, bool kernel_words) const {
    host_reading wanted;
    wanted.monitor_clients = monitor_clients;
    wanted.kernel_words = kernel_words;
    return vmplug::read_host(implementation_->files, wanted);
}

function_abilities controller::read_abilities(const host_facts& host,
                                              const host_address& device) const {
    return vmplug::read_abilities(implementation_->files, host, device);
}

result<std::vector<qemu_process>> controller::read_qemus(bool monitor_clients) const {
    process_reading wanted;
    wanted.monitor_clients = monitor_clients;
    auto survey = read_processes(implementation_->files, wanted);
    if (survey.failure) return *survey.failure;
    return std::move(survey.qemus);
}

awaitable<result<std::unique_ptr<monitor>>> controller::connect(std::string guest) const {
    const auto found = find_to_speak(implementation_->files, guest);
    if (found.has_error()) co_return found.error();
    co_return co_await connect_monitor(implementation_->files, *found, implementation_->options);
}

awaitable<result<std::unique_ptr<monitor>>> controller::connect(const qemu_process& process,
                                                                std::string address) const {
    guest_reference guest;
    guest.text = process.name;
    guest.identity = process.identity;
    guest.process = process;
    guest.monitors.push_back(std::move(address));
    co_return co_await connect_monitor(implementation_->files, std::move(guest),
                                       implementation_->options);
}

awaitable<result<std::string>> controller::run_hmp(std::string guest, std::string line,
                                                   std::chrono::milliseconds deadline) const {
    const auto& self = *implementation_;
    const auto found = find_to_speak(self.files, guest);
    if (found.has_error()) co_return found.error();
    const bool human_alone = std::ranges::all_of(
        found->monitors, [](const auto& each) { return each.starts_with("hmp:"); });
    if (human_alone) {
        auto human = co_await connect_human_monitor(self.files, *found, self.options);
        if (human.has_error()) co_return human.error();
        co_return co_await (*human)->call(std::move(line), deadline);
    }
    auto connected = co_await connect_monitor(self.files, *found, self.options);
    if (connected.has_error()) co_return connected.error();
    co_return co_await run_hmp_line(**connected, std::move(line), deadline);
}

awaitable<result<guest_view>> controller::query_guest(std::string guest) const {
    auto found = find_guest(implementation_->files, guest);
    if (found.has_error()) co_return found.error();
    auto link = co_await implementation_->connect(*found);
    if (link.has_error()) co_return link.error();
    const auto answering = find_process(implementation_->files, *found, (*link)->descriptor());
    if (answering.has_error()) co_return answering.error();
    auto facts = co_await survey_guest(**link, implementation_->files,
                                       implementation_->options.guest_deadline);
    if (facts.has_error()) co_return facts.error();
    guest_view view;
    view.process = found->process;
    view.monitor = (*link)->address();
    view.facts = std::move(*facts);
    if (found->process && !found->process->name.empty()) view.facts.name = found->process->name;
    co_return view;
}

std::optional<process_view> controller::view_device(const host_facts& host,
                                                    const std::optional<qemu_process>& qemu,
                                                    const host_address& device) const {
    return vmplug::view_device(implementation_->files, host, qemu, device);
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

bool controller::has_ended(const operation_record& record) const {
    const auto qemu = guest_process(record);
    return qemu.pid != 0 && !implementation_->host.is_alive(qemu);
}

std::string describe_step(const step& planned) {
    const auto* kind = find_step_kind(planned.kind);
    return kind ? kind->describe(planned.arguments) : planned.kind;
}

namespace {

/// What is left of a way home, in its order.
std::vector<std::string> manual_finish(const operation_record& record) {
    std::vector<std::string> commands;
    for (const auto& step : record.steps)
        for (auto& command : find_step_kind(step.planned.kind)
                                 ->manual_finish(step.planned.arguments, record.subject))
            commands.push_back(std::move(command));
    return commands;
}

} // namespace

std::vector<std::string> manual_undo(const operation_record& record) {
    std::vector<std::string> commands;
    // What cannot be believed must not be run by a person either.
    if (check_record(record).has_error()) return commands;
    // An operation that keeps what it did takes a device home: the state before is its end.
    if (record.failure_policy == on_failure::hold) return manual_finish(record);
    for (auto step = record.steps.rbegin(); step != record.steps.rend(); ++step) {
        const bool stands = step->state == step_state::begun || step->state == step_state::applied;
        if (!stands) continue;
        for (auto& command :
             find_step_kind(step->planned.kind)
                 ->manual_undo(step->planned.arguments, step->prior_state, record.subject))
            commands.push_back(std::move(command));
    }
    return commands;
}

} // namespace vmplug
