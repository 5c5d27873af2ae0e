#include "linux/guest_access.hpp"

#include "host/monitor_peer.hpp"
#include "host/read_processes.hpp"
#include "linux/hmp_guest_link.hpp"
#include "linux/qmp_guest_link.hpp"
#include "system/file_owner.hpp"

#include <algorithm>
#include <array>

#include <unistd.h>

namespace vmplug {
namespace {

using boost::asio::awaitable;

/// QMP frames its replies and tells events; a human monitor is for those who have nothing else.
std::vector<std::string> in_order_of_preference(const std::vector<qemu_monitor>& monitors) {
    std::vector<std::string> addresses;
    for (const auto protocol : {qemu_monitor::protocol::qmp, qemu_monitor::protocol::hmp})
        for (const auto& monitor : monitors)
            if (monitor.speaks == protocol && monitor.unusable.empty())
                addresses.push_back(monitor.address);
    return addresses;
}

/// Adds who holds the monitor to an error that says that somebody does.
error name_holder(const file_tree& files, const guest_reference& guest, const std::string& address,
                  error failure) {
    if (failure.code != error_code::monitor_busy) return failure;
    const auto pid = guest.process ? find_monitor_client(files, *guest.process, address)
                                   : find_socket_client(files, address.substr(4));
    if (pid == 0 || pid == ::getpid()) return failure;
    failure.text =
        "process " + std::to_string(pid) + " holds the monitor: " + read_command(files, pid);
    return failure;
}

void take_process(guest_reference& guest, qemu_process process) {
    guest.identity = process.identity;
    guest.process = std::move(process);
}

error no_usable_monitor(const qemu_process& process, std::string where) {
    const auto who = "this QEMU (pid " + std::to_string(process.identity.pid) + ")";
    if (process.monitors.empty())
        return {error_code::no_monitor,
                std::move(where),
                who + " was started without a monitor on a socket",
                {}};
    std::string reasons;
    for (const auto& each : process.monitors)
        reasons += (reasons.empty() ? "" : "; ") + each.address + ": " + each.unusable;
    const bool ours = ::geteuid() == 0 || ::geteuid() == process.uid;
    std::string remedy;
    if (!process.waits_for.empty())
        remedy = "Its manager has to connect first; vmplug leaves it alone.";
    else if (!ours)
        remedy = "Repeat it as root, or as the user of that QEMU (uid " +
                 std::to_string(process.uid) + "), who may look at it.";
    return {error_code::monitor_unusable, std::move(where), reasons, remedy};
}

result<std::vector<qemu_process>> read_qemus(const file_tree& files, std::string_view guest,
                                             bool emulators_first = false) {
    process_reading wanted;
    wanted.guest = guest;
    wanted.emulators_first = emulators_first;
    auto survey = read_processes(files, wanted);
    if (survey.failure) return *survey.failure;
    return std::move(survey.qemus);
}

/// An address as it is written.
result<guest_reference> refer_to(std::string_view text) {
    const auto address = parse_monitor_address(text);
    if (address.has_error()) return address.error();
    guest_reference guest;
    guest.text = text;
    guest.by_address = true;
    guest.monitors.push_back(format_monitor_address(*address));
    return guest;
}

/// Whoever claims the address and listens there is a first guess: who answers is found out when
/// there is a connection.
result<guest_reference> find_by_address(const file_tree& files, std::string_view text) {
    auto named = refer_to(text);
    if (named.has_error()) return named.error();
    auto& guest = *named;
    auto qemus = read_qemus(files, {});
    if (qemus.has_error()) return qemus.error();
    for (auto& process : *qemus)
        for (const auto& monitor : process.monitors) {
            if (monitor.address != guest.monitors.front()) continue;
            if (!process.waits_for.empty()) return no_usable_monitor(process, std::string(text));
            take_process(guest, std::move(process));
            return guest;
        }
    return guest;
}

/// Whether a person wrote where a monitor listens, instead of a guest's name or pid.
bool is_monitor_address(std::string_view text) {
    return text.find('/') != text.npos || text.starts_with("qmp:") || text.starts_with("tcp:") ||
           text.starts_with("hmp:");
}

result<guest_reference> choose_guest(result<std::vector<qemu_process>> qemus, std::string_view text,
                                     std::optional<std::uint32_t> uid) {
    if (qemus.has_error()) return qemus.error();
    host_facts host;
    host.qemus = std::move(*qemus);
    const auto found = find_vm(host, text, uid);
    if (found.has_error()) return found.error();
    guest_reference guest;
    guest.text = text;
    take_process(guest, **found);
    guest.by_pid = guest.process->name != text;
    guest.monitors = in_order_of_preference(guest.process->monitors);
    if (guest.monitors.empty()) return no_usable_monitor(*guest.process, guest.name());
    return guest;
}

error empty_name() {
    return {error_code::invalid_argument, "VM", "the name of a guest cannot be empty", {}};
}

} // namespace

result<guest_reference> find_guest(const file_tree& files, std::string_view text,
                                   std::optional<std::uint32_t> uid) {
    if (text.empty()) return empty_name();
    if (is_monitor_address(text)) return find_by_address(files, text);
    return choose_guest(read_qemus(files, text), text, uid);
}

result<guest_reference> find_to_speak(const file_tree& files, std::string_view text) {
    if (text.empty()) return empty_name();
    if (!is_monitor_address(text))
        return choose_guest(read_qemus(files, text, true), text, std::nullopt);
    return refer_to(text);
}

guest_reference guest_of(const file_tree& files, const operation_record& record) {
    guest_reference guest;
    guest.text = field(record.subject, "guest");
    guest.identity = guest_process(record);
    const auto& recorded = field(record.subject, "monitor");
    if (guest.identity.pid == 0) {
        guest.monitors.push_back(recorded);
        return guest;
    }
    auto process = read_process(files, guest.identity.pid);
    // Another process may have its pid by now, and another QEMU its socket.
    if (!process || process->identity != guest.identity) return guest;
    guest.monitors = in_order_of_preference(process->monitors);
    const auto again = std::ranges::find(guest.monitors, recorded);
    if (again != guest.monitors.end())
        std::rotate(guest.monitors.begin(), again, again + 1);
    else if (process->waits_for.empty())
        guest.monitors.push_back(recorded);
    guest.process = std::move(process);
    return guest;
}

result<void> find_process(const file_tree& files, guest_reference& guest, int socket) {
    if (!guest.by_address) return {};
    const auto peer = find_peer(files, socket);
    if (peer.has_error()) return peer.error();
    guest.identity = peer->value_or(process_identity());
    if (guest.process && guest.process->identity == guest.identity) return {};
    guest.process.reset();
    if (guest.identity.pid == 0) return {};
    if (auto process = read_process(files, guest.identity.pid)) take_process(guest, *process);
    return {};
}

namespace {

/// Whether somebody else could have put a socket of his own where the guest's was expected.
bool others_could_listen(const guest_reference& guest) {
    const auto address = parse_monitor_address(guest.monitors.front());
    if (address.has_error() || address->path.empty() || address->abstract) return true;
    const std::array<std::uint32_t, 3> trusted{0, ::geteuid(), guest.process->uid};
    return others_may_replace(address->path, trusted);
}

} // namespace

result<void> check_owner(const guest_reference& guest, std::optional<std::uint32_t> uid) {
    if (!guest.process) return {};
    const auto owner = guest.process->uid;
    const auto text = "its process " + std::to_string(guest.process->identity.pid) +
                      " belongs to " + describe_user(owner);
    if (uid && owner != *uid)
        return error{
            error_code::vm_foreign, guest.name(), text + ", not to " + describe_user(*uid), {}};
    if (uid || guest.by_pid || owner == 0 || owner == ::geteuid()) return {};
    if (guest.by_address && !others_could_listen(guest)) return {};
    return error{error_code::vm_foreign,
                 guest.name(),
                 text + (guest.by_address ? ", and others than its owner could have put its socket "
                                            "there"
                                          : ", and anybody can start a QEMU of that name"),
                 {}};
}

namespace {

/// Where its TCP addresses and abstract names are meant.
std::int32_t network_of(const guest_reference& guest) {
    return guest.by_address ? 0 : guest.identity.pid;
}

/// The kernel is asked by the number of our socket, which is another's as soon as we have closed
/// it: what is found then is about a connection that nobody can use any more.
awaitable<result<void>> prove(process_identity meant, int socket, monitor_access access) {
    auto work = [&files = access.files, meant, socket] { return prove_peer(files, socket, meant); };
    co_return co_await off_the_loop(access.hands, std::move(work));
}

awaitable<error> name_holder_aside(guest_reference guest, std::string address, error failure,
                                   monitor_access access) {
    if (failure.code != error_code::monitor_busy) co_return failure;
    auto work = [&files = access.files, guest = std::move(guest), address = std::move(address),
                 failure = std::move(failure)] {
        return name_holder(files, guest, address, failure);
    };
    co_return co_await off_the_loop(access.hands, std::move(work));
}

/// Calls `connect` with each address until one answers. Where there is another to try, a busy one
/// is left soon: QEMU greets at once.
template <class Connection, class Connect>
awaitable<result<Connection>> first_that_answers(guest_reference guest, monitor_access access,
                                                 Connect connect) {
    const auto patience = access.greeting_deadline;
    error last{error_code::no_monitor, guest.name(), "there is no monitor to connect to", {}};
    if (guest.monitors.empty() && guest.identity.pid != 0)
        last = {error_code::monitor_gone,
                guest.name(),
                "its QEMU (pid " + std::to_string(guest.identity.pid) + ") has ended",
                {}};
    for (std::size_t i = 0; i < guest.monitors.size(); ++i) {
        const auto address = parse_monitor_address(guest.monitors[i]);
        if (address.has_error()) co_return address.error();
        monitor_options options;
        options.greeting_deadline = i + 1 < guest.monitors.size() ? patience / 8 : patience;
        options.network_of = network_of(guest);
        auto connected = co_await connect(*address, options);
        if (connected.has_error()) {
            last = co_await name_holder_aside(guest, guest.monitors[i], connected.error(), access);
            continue;
        }
        // An address that was written is its own proof: whoever answers there is meant.
        if (guest.by_address || guest.identity.pid == 0) co_return connected;
        const auto proven = co_await prove(guest.identity, (*connected)->descriptor(), access);
        if (proven.has_value()) co_return connected;
        last = proven.error();
    }
    co_return last;
}

/// What is open already to one of the guest's monitors, nullptr when nothing is. An address may
/// have been another guest's, or another network's, when it was connected to.
awaitable<std::unique_ptr<monitor>> share_monitor(guest_reference guest, monitor_access access) {
    for (const auto& address : guest.monitors) {
        auto shared = access.open.share(address, network_of(guest));
        if (!shared) continue;
        // Another QEMU may have the path by now.
        if (guest.identity.pid == 0) co_return shared;
        const auto proven = co_await prove(guest.identity, shared->descriptor(), access);
        if (proven.has_value() && shared->is_open()) co_return shared;
    }
    co_return nullptr;
}

} // namespace

awaitable<result<std::unique_ptr<monitor>>> connect_monitor(guest_reference guest,
                                                            monitor_access access) {
    auto shared = co_await share_monitor(guest, access);
    if (shared) co_return shared;
    std::erase_if(guest.monitors, [](const auto& each) { return each.starts_with("hmp:"); });
    if (guest.monitors.empty())
        co_return error{error_code::no_monitor,
                        guest.name(),
                        "this QEMU has a human monitor alone, and this needs QMP",
                        {},
                        advice::send_hmp_line};
    auto connected =
        co_await first_that_answers<std::unique_ptr<monitor>>(guest, access, &monitor::connect);
    if (connected.has_value()) access.open.add(**connected, network_of(guest));
    co_return connected;
}

awaitable<result<std::unique_ptr<guest_link>>> connect_guest(guest_reference guest,
                                                             monitor_access access) {
    auto shared = co_await share_monitor(guest, access);
    if (shared) co_return std::make_unique<qmp_guest_link>(std::move(shared));
    const auto connect_link =
        [&](monitor_address address,
            monitor_options options) -> awaitable<result<std::unique_ptr<guest_link>>> {
        if (address.human) {
            auto human = co_await hmp_monitor::connect(std::move(address), options);
            if (human.has_error()) co_return human.error();
            co_return std::make_unique<hmp_guest_link>(std::move(*human));
        }
        auto connected = co_await monitor::connect(std::move(address), options);
        if (connected.has_error()) co_return connected.error();
        access.open.add(**connected, options.network_of);
        co_return std::make_unique<qmp_guest_link>(std::move(*connected));
    };
    co_return co_await first_that_answers<std::unique_ptr<guest_link>>(std::move(guest), access,
                                                                       connect_link);
}

awaitable<result<std::unique_ptr<hmp_monitor>>> connect_human_monitor(guest_reference guest,
                                                                      monitor_access access) {
    std::erase_if(guest.monitors, [](const auto& each) { return !each.starts_with("hmp:"); });
    return first_that_answers<std::unique_ptr<hmp_monitor>>(std::move(guest), access,
                                                            &hmp_monitor::connect);
}

} // namespace vmplug
