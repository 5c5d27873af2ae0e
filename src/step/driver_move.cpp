#include "step/driver_move.hpp"

#include "step/host_device.hpp"
#include "step/netdev_return.hpp"
#include "step/shell.hpp"
#include "step/wait.hpp"

#include <cerrno>

namespace vmplug {

using boost::asio::awaitable;

namespace {

/// The kernel prints "(null)" for no override, older ones an empty line.
std::string parse_override(std::string text) {
    while (!text.empty() && (text.back() == '\n' || text.back() == '\0'))
        text.pop_back();
    return text == "(null)" ? std::string() : text;
}

awaitable<result<void>> write(step_context& context, std::string path, std::string value) {
    return context.host.write(std::move(path), std::move(value), context.host_deadline);
}

/// Takes the function off its driver, if it has one.
awaitable<result<void>> unbind(step_context& context, std::string device) {
    const auto current = read_driver(context, device);
    if (current.empty()) co_return result<void>{};
    co_return co_await write(context, driver_path(current) + "/unbind", device);
}

result<void> verify(step_context& context, const std::string& device, const std::string& driver) {
    const auto now = read_driver(context, device);
    if (now == driver) return {};
    return error{error_code::bind_failed,
                 device_path(device),
                 "the device is on " + (now.empty() ? std::string("no driver") : now) +
                     " instead of " + (driver.empty() ? std::string("none") : driver),
                 {}};
}

/// Lets the kernel choose, and takes the device from whoever else came first.
awaitable<result<void>> bind(step_context& context, std::string device, std::string driver) {
    auto probed = co_await write(context, "/sys/bus/pci/drivers_probe", device);
    const auto chosen = read_driver(context, device);
    if (chosen == driver) co_return result<void>{};
    if (probed.has_error() && chosen.empty()) co_return probed;
    // drivers_probe reports success even when no driver, or another one, took the device.
    if (!chosen.empty()) {
        auto freed = co_await write(context, driver_path(chosen) + "/unbind", device);
        if (freed.has_error()) co_return freed;
    }
    co_return co_await write(context, driver_path(driver) + "/bind", device);
}

} // namespace

awaitable<result<binding_state>> read_binding(step_context& context, std::string device) {
    binding_state found;
    auto path = device_path(device) + "/driver_override";
    if (context.host.exists(path)) {
        auto text = co_await context.host.read(std::move(path), context.host_deadline);
        if (text.has_error()) co_return text.error();
        found.driver_override = parse_override(std::move(*text));
    }
    found.driver = read_driver(context, device);
    co_return found;
}

awaitable<result<void>> converge(step_context& context, std::string device,
                                 const binding_state& target) {
    const auto override_path = device_path(device) + "/driver_override";
    // Before all else: without its driver it is better off where it is.
    result<void> written = co_await load_driver(context, device, target.driver, target.module);
    if (written.has_error()) co_return written;
    // A kernel before 3.16 has no override.
    if (context.host.exists(override_path) || !target.driver_override.empty()) {
        const auto value = target.driver_override.empty() ? "\n" : target.driver_override;
        written = co_await write(context, override_path, value);
        if (written.has_error()) co_return written;
    }
    const auto current = read_driver(context, device);
    if (current != target.driver) {
        written = co_await unbind(context, device);
        if (written.has_error()) co_return written;
    }
    if (current != target.driver && !target.driver.empty()) {
        written = co_await bind(context, device, target.driver);
        if (written.has_error()) co_return written;
    }
    co_return verify(context, device, target.driver);
}

awaitable<result<void>> forget_ids(step_context& context, std::string driver, std::string ids) {
    auto forgotten = co_await write(context, driver_path(driver) + "/remove_id", std::move(ids));
    if (failed_with(forgotten, ENODEV) || failed_with(forgotten, ENOENT)) co_return result<void>{};
    co_return forgotten;
}

awaitable<result<void>> introduce(step_context& context, std::string device, std::string driver,
                                  std::string ids, std::string prior_override) {
    result<void> moved;
    // An override of its own keeps every other driver away.
    if (!prior_override.empty())
        moved = co_await write(context, device_path(device) + "/driver_override", "\n");
    if (moved.has_value()) moved = co_await unbind(context, device);
    if (moved.has_error()) co_return moved;
    // The kernel gives the driver every device of these ids that has none: this one.
    const auto told = co_await write(context, driver_path(driver) + "/new_id", ids);
    const bool known = failed_with(told, EEXIST);
    if (told.has_error() && !known) co_return told;
    if (read_driver(context, device) != driver)
        moved = co_await write(context, driver_path(driver) + "/bind", device);
    if (moved.has_value() && !known) moved = co_await forget_ids(context, driver, std::move(ids));
    if (moved.has_error()) co_return moved;
    co_return verify(context, device, driver);
}

awaitable<result<void>> await_group_node(step_context& context, std::string device) {
    const auto group =
        context.host.read_link_name(device_path(device) + "/iommu_group").value_or("");
    // The kernel names a group of its no-IOMMU mode so: "/dev/vfio/noiommu-0".
    const auto node = "/dev/vfio/" + group;
    const auto unsafe_node = "/dev/vfio/noiommu-" + group;
    std::function<bool()> there = [&] {
        return context.host.exists(node) || context.host.exists(unsafe_node);
    };
    if (!group.empty() && co_await holds(context.time, there)) co_return result<void>{};
    co_return error{
        error_code::node_missing, node, "the device is on vfio-pci, but its group has no node", {}};
}

std::vector<std::string> manual_binding(const std::string& device, const binding_state& target) {
    const auto path = device_path(device);
    const auto& driver = target.driver;
    const auto home = quote_for_shell(driver_path(driver));
    std::vector<std::string> commands;
    if (!driver.empty()) {
        const auto& module = target.module;
        commands.push_back("[ -e " + home + " ] || modprobe " +
                           quote_for_shell(module.empty() ? driver : module) +
                           " || modprobe \"$(cat " + path + "/modalias)\"");
    }
    commands.push_back("[ ! -e " + path + "/driver_override ] || echo " +
                       (target.driver_override.empty() ? std::string("''")
                                                       : quote_for_shell(target.driver_override)) +
                       " > " + path + "/driver_override");
    const auto is_home =
        driver.empty() ? std::string() : "[ " + path + "/driver -ef " + home + " ] || ";
    commands.push_back(is_home + "[ ! -e " + path + "/driver ] || echo " + device + " > " + path +
                       "/driver/unbind");
    if (!driver.empty()) commands.push_back(is_home + "echo " + device + " > " + home + "/bind");
    for (auto& each : manual_netdev_commands(path, target.netdevs))
        commands.push_back(std::move(each));
    return commands;
}

} // namespace vmplug
