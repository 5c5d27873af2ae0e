#include "linux/linux_host_control.hpp"

#include "host/read_processes.hpp"
#include "linux/netdev_survey.hpp"
#include "system/child_task.hpp"
#include "system/link_messages.hpp"

#include <boost/asio/as_tuple.hpp>
#include <boost/asio/buffer.hpp>
#include <boost/asio/posix/stream_descriptor.hpp>
#include <boost/asio/read.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/this_coro.hpp>
#include <boost/asio/use_awaitable.hpp>

#include <cerrno>
#include <charconv>
#include <cstring>

#include <sys/resource.h>
#include <sys/wait.h>

namespace vmplug {
namespace {

namespace asio = boost::asio;
using std::chrono::milliseconds;

constexpr std::size_t report_bytes_max = 131072;
/// All interfaces of all network namespaces: about 1 kB for each.
constexpr std::size_t netlink_bytes_max = std::size_t{64} << 20;

/// Between its last word and its end.
constexpr std::chrono::microseconds exit_interval{100};

/// What a child left behind.
struct child_report {
    std::string text;
    int exit_status = 0;
};

error stuck(const file_tree& files, const std::string& where, const child_task& task) {
    const auto users = describe_device_users(files);
    auto text = "the kernel has not answered; process " + std::to_string(task.pid) +
                " of vmplug waits in it";
    if (!users.empty()) text += "; VFIO devices are held by process " + users;
    return {error_code::host_stuck, where, text, {}};
}

/// Waits until the child has ended, or the deadline.
asio::awaitable<result<child_report>> await_child(const file_tree& files, child_task task,
                                                  std::string where, milliseconds deadline,
                                                  std::size_t bytes_max = report_bytes_max) {
    const auto executor = co_await asio::this_coro::executor;
    asio::posix::stream_descriptor report(executor, task.report);
    const auto end = std::chrono::steady_clock::now() + deadline;
    asio::steady_timer timer(executor, end);
    auto on_expiry = [&report](boost::system::error_code aborted) {
        boost::system::error_code ignored;
        if (!aborted) report.cancel(ignored);
    };
    timer.async_wait(on_expiry);
    child_report found;
    auto [failure, size] =
        co_await asio::async_read(report, asio::dynamic_buffer(found.text, bytes_max),
                                  asio::transfer_all(), asio::as_tuple(asio::use_awaitable));
    timer.cancel();
    // The timer's handler may be queued already and refers to this frame.
    co_await asio::post(executor, asio::use_awaitable);
    bool hangs = failure == asio::error::operation_aborted;
    // One that has more to say than is read would wait for a reader.
    report.close();
    int status = 0;
    // What it has said is its last act; it can hang in its end, too.
    while (!hangs && ::waitpid(task.pid, &status, WNOHANG) == 0) {
        hangs = std::chrono::steady_clock::now() >= end;
        timer.expires_after(exit_interval);
        co_await timer.async_wait(asio::as_tuple(asio::use_awaitable));
    }
    if (hangs) {
        give_up(task);
        co_return stuck(files, where, task);
    }
    found.exit_status = WIFEXITED(status) ? WEXITSTATUS(status) : -1;
    co_return found;
}

error host_failure(const std::string& path, int reason) {
    const bool denied = reason == EACCES || reason == EPERM;
    return {denied ? error_code::permission_denied : error_code::host_io,
            path,
            std::strerror(reason),
            {}};
}

/// Takes the child's first line, its errno, off the text.
result<std::string> split_report(const child_report& report, const std::string& path) {
    int reason = -1;
    const auto end = report.text.find('\n');
    if (end != std::string::npos)
        std::from_chars(report.text.data(), report.text.data() + end, reason);
    if (reason == 0) return report.text.substr(end + 1);
    if (reason > 0) return host_failure(path, reason);
    return error{
        error_code::host_io, path, "the process that accesses it ended without a word", {}};
}

/// A child that has nothing to tell but whether it was done.
asio::awaitable<result<void>> await_act(const file_tree& files, result<child_task> started,
                                        std::string where, milliseconds deadline) {
    if (started.has_error()) co_return started.error();
    auto report = co_await await_child(files, *started, where, deadline);
    if (report.has_error()) co_return report.error();
    auto rest = split_report(*report, where);
    if (rest.has_error()) co_return rest.error();
    co_return result<void>{};
}

} // namespace

std::unique_ptr<host_control> linux_host_control::holding(const std::vector<const lease*>& leases) {
    std::vector<int> descriptors;
    for (const auto* each : leases)
        if (each->descriptor() >= 0) descriptors.push_back(each->descriptor());
    return std::make_unique<linux_host_control>(files_, std::move(descriptors));
}

asio::awaitable<result<void>> linux_host_control::write(std::string path, std::string value,
                                                        milliseconds deadline) {
    const auto started = start_write(files_.root() + path, value, leases_);
    co_return co_await await_act(files_, started, std::move(path), deadline);
}

asio::awaitable<result<std::string>> linux_host_control::read(std::string path,
                                                              milliseconds deadline) {
    const auto started = start_read(files_.root() + path);
    if (started.has_error()) co_return started.error();
    auto report = co_await await_child(files_, *started, path, deadline);
    if (report.has_error()) co_return report.error();
    co_return split_report(*report, path);
}

asio::awaitable<result<void>> linux_host_control::load_module(std::string name,
                                                              milliseconds deadline) {
    const auto started = start_program({"/sbin/modprobe", "--", name});
    if (started.has_error()) co_return started.error();
    auto report = co_await await_child(files_, *started, "modprobe " + name, deadline);
    if (report.has_error()) co_return report.error();
    if (report->exit_status == 0) co_return result<void>{};
    co_return error{error_code::driver_unavailable, "modprobe " + name, report->text, {}};
}

asio::awaitable<result<bool>> linux_host_control::finds_module(std::string name,
                                                               milliseconds deadline) {
    const auto started = start_program({"/sbin/modprobe", "--dry-run", "--quiet", "--", name});
    if (started.has_error()) co_return started.error();
    auto report = co_await await_child(files_, *started, "modprobe " + name, deadline);
    if (report.has_error()) co_return report.error();
    co_return report->exit_status == 0;
}

asio::awaitable<result<netdev_survey>> linux_host_control::read_netdevs(std::string device,
                                                                        milliseconds deadline) {
    const auto base = files_.resolve("/sys/bus/pci/devices/" + device);
    if (!base || !has_netdevs(files_, *base)) co_return netdev_survey();
    const auto namespaces = read_network_namespaces(files_);
    std::vector<std::string> asked{""};
    for (const auto& each : namespaces)
        asked.push_back(each.file());
    const auto started = start_netlink_questions(asked, link_dump_requests());
    if (started.has_error()) co_return started.error();
    auto report = co_await await_child(files_, *started, "rtnetlink", deadline, netlink_bytes_max);
    if (report.has_error()) co_return report.error();
    const auto pieces = split_report(*report, "rtnetlink");
    if (pieces.has_error()) co_return pieces.error();
    co_return survey_netdevs(files_, *base, namespaces, *pieces);
}

asio::awaitable<result<void>> linux_host_control::change_netdev(netdev_change change,
                                                                milliseconds deadline) {
    link_change wanted;
    wanted.index = change.index;
    wanted.mtu = change.mtu;
    wanted.mac = change.mac;
    wanted.name = change.name;
    wanted.alternative_names = std::move(change.alternative_names);
    netlink_act act;
    if (change.to_namespace) {
        wanted.namespace_file = act.namespace_file = change.to_namespace->file();
        act.namespace_inode = change.to_namespace->inode;
    }
    auto request = format_link_change(wanted);
    if (request.has_error()) co_return request.error();
    act.message = std::move(request->message);
    act.descriptor_at = request->descriptor_at;
    const auto started = start_netlink_act(std::move(act), leases_);
    co_return co_await await_act(files_, started, "rtnetlink", deadline);
}

bool linux_host_control::is_there(const network_namespace& which) {
    const auto self = read_own_identity(files_);
    if (which.process.boot_id != self.boot_id) return false;
    if (which.path.empty() && !is_alive(which.process)) return false;
    return network_namespace_inode(files_, which.file()) == which.inode;
}

std::vector<std::string> linux_host_control::list_netdevs(const std::string& device) {
    const auto base = files_.resolve("/sys/bus/pci/devices/" + device);
    return base ? netdevs_below(files_, *base) : std::vector<std::string>();
}

std::string linux_host_control::read_line(const std::string& path) {
    return files_.read_line(path);
}

std::optional<std::string> linux_host_control::read_link_name(const std::string& path) {
    return files_.read_link_name(path);
}

bool linux_host_control::exists(const std::string& path) {
    return files_.exists(path);
}

result<host_control::memlock> linux_host_control::read_memlock(std::int32_t pid) {
    rlimit found{};
    if (::prlimit(pid, RLIMIT_MEMLOCK, nullptr, &found) != 0)
        return host_failure("memlock limit of process " + std::to_string(pid), errno);
    return memlock{found.rlim_cur, found.rlim_max};
}

result<void> linux_host_control::set_memlock(std::int32_t pid, memlock limits) {
    const rlimit wanted{limits.soft_bytes, limits.hard_bytes};
    if (::prlimit(pid, RLIMIT_MEMLOCK, &wanted, nullptr) == 0) return {};
    return host_failure("memlock limit of process " + std::to_string(pid), errno);
}

bool linux_host_control::is_alive(const process_identity& process) {
    const auto now = read_identity(files_, process.pid);
    // What cannot be read has not ended: a device would be taken from a guest that runs.
    if (!now || now->boot_id.empty()) return files_.exists("/proc/" + std::to_string(process.pid));
    // A zombie has closed all of its files: it holds nothing any more.
    if (*now != process) return false;
    const auto stat = files_.read_or_empty("/proc/" + std::to_string(process.pid) + "/stat");
    const auto state = stat.rfind(") ");
    return state == std::string::npos || stat[state + 2] != 'Z';
}

} // namespace vmplug
