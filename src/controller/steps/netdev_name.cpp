#include "controller/steps/netdev_name.hpp"

#include "controller/steps/wait.hpp"

#include <cerrno>

#include <net/if.h>

namespace vmplug {
namespace {

using boost::asio::awaitable;

/// The first line of a file of sysfs, empty when it cannot be read.
awaitable<std::string> read_line(step_context& context, std::string path) {
    const auto text = co_await context.host.read(std::move(path), context.host_deadline);
    if (text.has_error()) co_return std::string();
    co_return text->substr(0, text->find('\n'));
}

/// udev has run its rules for an interface once it is in its database, named or not.
awaitable<void> await_udev(step_context& context, std::string netdevs, std::string name) {
    const auto current = context.host.first_entry(netdevs);
    if (!current || *current == name || !context.host.exists("/run/udev/control")) co_return;
    const auto index = co_await read_line(context, netdevs + "/" + *current + "/ifindex");
    std::function<bool()> settled = [&] {
        return context.host.exists(netdevs + "/" + name) ||
               context.host.exists("/run/udev/data/n" + index);
    };
    co_await holds(settled);
}

awaitable<bool> is_up(step_context& context, std::string netdev_path) {
    const auto flags = co_await read_line(context, netdev_path + "/flags");
    co_return (std::strtoul(flags.c_str(), nullptr, 16) & IFF_UP) != 0;
}

} // namespace

awaitable<bool> is_misnamed(step_context& context, std::string device_path, std::string name) {
    const auto netdevs = device_path + "/net";
    const auto current = context.host.first_entry(netdevs);
    if (name.empty() || !current || context.host.exists(netdevs + "/" + name)) co_return false;
    if (context.host.exists("/sys/class/net/" + name)) co_return false;
    const bool up = co_await is_up(context, netdevs + "/" + *current);
    co_return !up;
}

awaitable<result<void>> restore_netdev(step_context& context, std::string device_path,
                                       std::string name) {
    if (name.empty()) co_return result<void>{};
    const auto netdevs = device_path + "/net";
    // A network driver may register its netdev after its probe has returned.
    std::function<bool()> registered = [&] {
        return context.host.first_entry(netdevs).has_value();
    };
    const bool there = co_await holds(registered);
    if (!there)
        co_return error{
            error_code::bind_failed, netdevs, "the network interface has not come back", {}};
    co_await await_udev(context, netdevs, name);
    const bool misnamed = co_await is_misnamed(context, device_path, name);
    if (!misnamed) co_return result<void>{};
    auto current = context.host.first_entry(netdevs).value_or("");
    auto renamed =
        co_await context.host.rename_netdev(std::move(current), name, context.host_deadline);
    if (failed_with(renamed, EBUSY) || failed_with(renamed, EEXIST)) co_return result<void>{};
    co_return renamed;
}

} // namespace vmplug
