#include "controller/guest_access.hpp"

#include "controller/hmp_guest_link.hpp"
#include "controller/qmp_guest_link.hpp"
#include "host/read_processes.hpp"

#include <algorithm>

namespace vmplug {
namespace {

using boost::asio::awaitable;

result<guest_reference> find_by_address(const std::vector<qemu_process>& qemus,
                                        std::string_view text) {
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

/// QMP frames its replies and tells events; a human monitor is for those who have nothing else.
std::vector<std::string> in_order_of_preference(const std::vector<qemu_monitor>& monitors) {
    std::vector<std::string> addresses;
    for (const auto protocol : {qemu_monitor::protocol::qmp, qemu_monitor::protocol::hmp})
        for (const auto& monitor : monitors)
            if (monitor.speaks == protocol) addresses.push_back(monitor.address);
    return addresses;
}

/// Adds who holds the monitor to an error that says that somebody does.
error name_holder(const file_tree& files, const std::string& address, error failure) {
    const bool has_path = address.starts_with("qmp:") || address.starts_with("hmp:/");
    if (failure.code != error_code::monitor_busy || !has_path) return failure;
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
    guest.monitors = in_order_of_preference(guest.process->monitors);
    if (guest.monitors.empty())
        return error{error_code::no_monitor,
                     guest.name(),
                     "this QEMU (pid " + std::to_string(guest.process->identity.pid) +
                         ") was started without a monitor on a socket",
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
    for (auto& address : in_order_of_preference(guest.process->monitors))
        if (address != guest.monitors.front()) guest.monitors.push_back(std::move(address));
    return guest;
}

namespace {

/// Calls `connect` with each address until one answers. Where there is another to try, a busy one
/// is left soon: QEMU greets at once.
template <class Connection, class Connect>
awaitable<result<Connection>> first_that_answers(const file_tree& files, guest_reference guest,
                                                 std::chrono::milliseconds patience,
                                                 Connect connect) {
    error last{error_code::no_monitor, guest.name(), "there is no monitor to connect to", {}};
    for (std::size_t i = 0; i < guest.monitors.size(); ++i) {
        const auto address = parse_monitor_address(guest.monitors[i]);
        if (address.has_error()) co_return address.error();
        monitor_options options;
        options.greeting_deadline = i + 1 < guest.monitors.size() ? patience / 8 : patience;
        auto connected = co_await connect(*address, options);
        if (connected.has_value()) co_return connected;
        last = name_holder(files, guest.monitors[i], connected.error());
    }
    co_return last;
}

/// What the caller has open to one of the guest's monitors, nullptr when it has nothing.
std::unique_ptr<monitor> share_monitor(const guest_reference& guest,
                                       const controller_options& options) {
    if (!options.open_monitor) return nullptr;
    for (const auto& address : guest.monitors)
        if (auto shared = options.open_monitor(address)) return shared;
    return nullptr;
}

awaitable<result<std::unique_ptr<guest_link>>> connect_link(monitor_address address,
                                                            monitor_options options) {
    if (address.human) {
        auto connected = co_await hmp_monitor::connect(std::move(address), options);
        if (connected.has_error()) co_return connected.error();
        co_return std::make_unique<hmp_guest_link>(std::move(*connected));
    }
    auto connected = co_await monitor::connect(std::move(address), options);
    if (connected.has_error()) co_return connected.error();
    co_return std::make_unique<qmp_guest_link>(std::move(*connected));
}

} // namespace

awaitable<result<std::unique_ptr<monitor>>>
connect_monitor(const file_tree& files, guest_reference guest, const controller_options& options) {
    if (auto shared = share_monitor(guest, options)) co_return shared;
    std::erase_if(guest.monitors, [](const auto& each) { return each.starts_with("hmp:"); });
    if (guest.monitors.empty())
        co_return error{error_code::no_monitor, guest.name(),
                        "this QEMU has a human monitor alone, and this needs QMP",
                        "`vmplug hmp` sends it a line"};
    co_return co_await first_that_answers<std::unique_ptr<monitor>>(
        files, std::move(guest), options.greeting_deadline, &monitor::connect);
}

awaitable<result<std::unique_ptr<guest_link>>>
connect_guest(const file_tree& files, guest_reference guest, const controller_options& options) {
    if (auto shared = share_monitor(guest, options))
        co_return std::make_unique<qmp_guest_link>(std::move(shared));
    co_return co_await first_that_answers<std::unique_ptr<guest_link>>(
        files, std::move(guest), options.greeting_deadline, &connect_link);
}

awaitable<result<std::unique_ptr<hmp_monitor>>>
connect_human_monitor(const file_tree& files, guest_reference guest,
                      const controller_options& options) {
    std::erase_if(guest.monitors, [](const auto& each) { return !each.starts_with("hmp:"); });
    return first_that_answers<std::unique_ptr<hmp_monitor>>(
        files, std::move(guest), options.greeting_deadline, &hmp_monitor::connect);
}

} // namespace vmplug
