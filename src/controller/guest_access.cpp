#include "controller/guest_access.hpp"

#include "controller/qmp_guest_link.hpp"
#include "host/read_processes.hpp"

#include <algorithm>

namespace vmplug {
namespace {

result<guest_reference> find_by_address(const std::vector<qemu_process>& qemus,
                                        std::string_view text) {
    if (text.starts_with("hmp:"))
        return error{error_code::no_monitor, std::string(text.substr(0, 200)),
                     "this version speaks QMP alone", "name a QMP monitor"};
    const auto address = parse_monitor_address(text);
    if (address.has_error()) return address.error();
    guest_reference guest;
    guest.text = text;
    guest.monitors.push_back(format_monitor_address(*address));
    for (const auto& process : qemus)
        for (const auto& monitor : process.monitors)
            if (monitor.address == guest.monitors.front()) guest.process = process;
    return guest;
}

/// Adds who holds the monitor to an error that says that somebody does.
error name_holder(const file_tree& files, const std::string& address, error failure) {
    if (failure.code != error_code::monitor_busy || !address.starts_with("qmp:")) return failure;
    const auto pid = find_socket_client(files, address.substr(4));
    if (pid == 0) return failure;
    failure.text =
        "process " + std::to_string(pid) + " holds the monitor: " + read_command(files, pid);
    return failure;
}

} // namespace

std::string guest_reference::name() const {
    if (process && !process->name.empty()) return process->name;
    return text;
}

std::string guest_reference::lease_key() const {
    if (!process) return "monitor-" + monitors.front();
    return "guest-" + std::to_string(process->identity.pid) + "-" +
           std::to_string(process->identity.start_time);
}

bool is_monitor_address(std::string_view text) {
    return text.find('/') != text.npos || text.starts_with("qmp:") || text.starts_with("tcp:") ||
           text.starts_with("hmp:");
}

result<guest_reference> find_guest(const std::vector<qemu_process>& qemus, std::string_view text) {
    if (is_monitor_address(text)) return find_by_address(qemus, text);
    host_facts host;
    host.qemus = qemus;
    const auto found = find_vm(host, text);
    if (found.has_error()) return found.error();
    guest_reference guest;
    guest.text = text;
    guest.process = **found;
    for (const auto& monitor : guest.process->monitors)
        if (monitor.speaks == qemu_monitor::protocol::qmp)
            guest.monitors.push_back(monitor.address);
    if (guest.monitors.empty())
        return error{error_code::no_monitor,
                     guest.name(),
                     "this QEMU (pid " + std::to_string(guest.process->identity.pid) +
                         ") was started without a QMP monitor",
                     {}};
    return guest;
}

guest_reference guest_of(const operation_record& record, const std::vector<qemu_process>& qemus) {
    guest_reference guest;
    guest.text = field(record.subject, "guest");
    const auto identity = guest_process(record);
    const auto found = std::ranges::find(qemus, identity, &qemu_process::identity);
    if (found != qemus.end()) guest.process = *found;
    guest.monitors.push_back(field(record.subject, "monitor"));
    if (!guest.process) return guest;
    for (const auto& monitor : guest.process->monitors)
        if (monitor.speaks == qemu_monitor::protocol::qmp &&
            monitor.address != guest.monitors.front())
            guest.monitors.push_back(monitor.address);
    return guest;
}

boost::asio::awaitable<result<std::unique_ptr<monitor>>>
connect_monitor(const file_tree& files, guest_reference guest, monitor_options options) {
    error last{error_code::no_monitor, guest.name(), "there is no monitor to connect to", {}};
    // Where there is another monitor to try, a busy one is left soon: QEMU greets at once.
    const auto patience = options.greeting_deadline;
    for (std::size_t i = 0; i < guest.monitors.size(); ++i) {
        const auto address = parse_monitor_address(guest.monitors[i]);
        if (address.has_error()) co_return address.error();
        options.greeting_deadline = i + 1 < guest.monitors.size() ? patience / 8 : patience;
        auto connected = co_await monitor::connect(*address, options);
        if (connected.has_value()) co_return connected;
        last = name_holder(files, guest.monitors[i], connected.error());
    }
    co_return last;
}

boost::asio::awaitable<result<std::unique_ptr<guest_link>>>
connect_guest(const file_tree& files, guest_reference guest,
              std::chrono::milliseconds greeting_deadline) {
    monitor_options options;
    options.greeting_deadline = greeting_deadline;
    auto connected = co_await connect_monitor(files, std::move(guest), options);
    if (connected.has_error()) co_return connected.error();
    co_return std::make_unique<qmp_guest_link>(std::move(*connected));
}

} // namespace vmplug
