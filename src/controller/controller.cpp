#include "engine/late_unplugs.hpp"
#include "engine/use_case.hpp"
#include "host/read_host.hpp"
#include "host/read_processes.hpp"
#include "journal/journal.hpp"
#include "linux/human_monitor.hpp"
#include "linux/linux_world.hpp"
#include "system/file_tree.hpp"

#include <vmplug/controller.hpp>

#include <algorithm>

namespace vmplug {

using boost::asio::awaitable;

struct controller::implementation {
    explicit implementation(controller_options chosen)
        : options(std::move(chosen)), here(options), shared(here.ports()), files(here.files()) {}

    use_case begin(operation_options chosen) { return use_case(shared, std::move(chosen)); }
    monitor_access access() { return here.processes().access(options.greeting_deadline); }

    controller_options options;
    linux_world here;
    engine shared;
    const file_tree& files;
};

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
    auto& self = *implementation_;
    auto found = co_await self.here.processes().find_to_speak(std::move(guest));
    if (found.has_error()) co_return found.error();
    co_return co_await connect_monitor(std::move(*found), self.access());
}

awaitable<result<std::unique_ptr<monitor>>> controller::connect(const qemu_process& process,
                                                                std::string address) const {
    guest_reference guest;
    guest.text = process.name;
    guest.identity = process.identity;
    guest.process = process;
    guest.monitors.push_back(std::move(address));
    co_return co_await connect_monitor(std::move(guest), implementation_->access());
}

awaitable<result<std::string>> controller::run_hmp(std::string guest, std::string line,
                                                   std::chrono::milliseconds deadline) const {
    auto& self = *implementation_;
    auto found = co_await self.here.processes().find_to_speak(std::move(guest));
    if (found.has_error()) co_return found.error();
    const bool human_alone = std::ranges::all_of(
        found->monitors, [](const auto& each) { return each.starts_with("hmp:"); });
    if (human_alone) {
        auto human = co_await connect_human_monitor(std::move(*found), self.access());
        if (human.has_error()) co_return human.error();
        co_return co_await (*human)->call(std::move(line), deadline);
    }
    auto connected = co_await connect_monitor(std::move(*found), self.access());
    if (connected.has_error()) co_return connected.error();
    co_return co_await run_hmp_line(**connected, std::move(line), deadline);
}

awaitable<result<guest_view>> controller::query_guest(std::string guest) const {
    operation_options chosen;
    chosen.greeting_deadline = implementation_->options.greeting_deadline;
    auto running = implementation_->begin(std::move(chosen));
    co_return co_await running.query_guest(std::move(guest));
}

std::optional<process_view> controller::view_device(const host_facts& host,
                                                    const std::optional<qemu_process>& qemu,
                                                    const host_address& device) const {
    return vmplug::view_device(implementation_->files, host, qemu, device);
}

awaitable<operation_report> controller::attach(std::string guest, std::string device,
                                               attach_request request, operation_options options) {
    auto running = implementation_->begin(std::move(options));
    co_return co_await running.attach(std::move(guest), std::move(device), std::move(request));
}

awaitable<operation_report> controller::detach(std::string guest, detach_request request,
                                               operation_options options) {
    auto running = implementation_->begin(std::move(options));
    co_return co_await running.detach(std::move(guest), std::move(request));
}

awaitable<operation_report> controller::bind(std::string device, bind_request request,
                                             operation_options options) {
    auto running = implementation_->begin(std::move(options));
    co_return co_await running.bind(std::move(device), std::move(request));
}

awaitable<operation_report> controller::release(std::string device, operation_options options) {
    auto running = implementation_->begin(std::move(options));
    co_return co_await running.release(std::move(device));
}

awaitable<result<std::vector<operation_report>>> controller::recover(operation_options options) {
    auto running = implementation_->begin(std::move(options));
    co_return co_await running.recover();
}

awaitable<void> controller::keep_settling(std::function<void(const operation_report&)> settled,
                                          operation_options options) {
    late_unplugs waiting(implementation_->shared, std::move(options), std::move(settled));
    co_await waiting.run();
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
    return record.state != operation_state::closed &&
           implementation_->here.ports().host.is_alive(record.runner);
}

bool controller::has_ended(const operation_record& record) const {
    const auto qemu = guest_process(record);
    return qemu.pid != 0 && !implementation_->here.ports().host.is_alive(qemu);
}

} // namespace vmplug
