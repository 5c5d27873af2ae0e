#include "controller/steps/netdev_name.hpp"
#include "controller/steps/steps.hpp"
#include "controller/steps/wait.hpp"

#include <vmplug/plan.hpp>

#include <array>
#include <cerrno>

namespace vmplug {
namespace {

using boost::asio::awaitable;

/// Which driver has a function, and which driver alone may take it (empty: any that matches).
struct binding {
    std::string driver;
    std::string driver_override;

    bool operator==(const binding&) const = default;
};

binding target_of(const fields& values) {
    return {field(values, "driver"), field(values, "driver_override")};
}

std::string device_path(const std::string& device) {
    return "/sys/bus/pci/devices/" + device;
}

std::string driver_path(const std::string& driver) {
    return "/sys/bus/pci/drivers/" + driver;
}

std::string read_driver(step_context& context, const std::string& device) {
    return context.host.read_link_name(device_path(device) + "/driver").value_or("");
}

/// The kernel prints "(null)" for no override, older ones an empty line.
std::string parse_override(std::string text) {
    while (!text.empty() && (text.back() == '\n' || text.back() == '\0'))
        text.pop_back();
    return text == "(null)" ? std::string() : text;
}

awaitable<result<binding>> read_binding(step_context& context, std::string device) {
    auto path = device_path(device) + "/driver_override";
    if (!context.host.exists(path)) co_return binding{read_driver(context, device), {}};
    auto text = co_await context.host.read(std::move(path), context.host_deadline);
    if (text.has_error()) co_return text.error();
    co_return binding{read_driver(context, device), parse_override(std::move(*text))};
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

/// Brings the function to `target` from whatever state it is in, so that it serves for applying,
/// for reverting, and for going on after a crash.
///
/// The override is written first: from then on no other driver can take the device, whenever we
/// die. When the device goes back, the restored override keeps vfio-pci from taking it again.
awaitable<result<void>> converge(step_context& context, std::string device, binding target) {
    const auto override_path = device_path(device) + "/driver_override";
    result<void> written;
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

/// Makes a driver forget ids. Those that it does not know, or cannot forget (before Linux 2.6.36
/// there was no way), are no failure.
awaitable<result<void>> forget_ids(step_context& context, std::string driver, std::string ids) {
    auto forgotten = co_await write(context, driver_path(driver) + "/remove_id", std::move(ids));
    if (failed_with(forgotten, ENODEV) || failed_with(forgotten, ENOENT)) co_return result<void>{};
    co_return forgotten;
}

/// Takes the device off its driver, tells the new one its ids, and takes the ids back, so that no
/// other device of those ids goes there later.
///
/// The guide of 2010 tells the ids first. In this order a death in between shows: a device that is
/// still on its old driver means that no ids were told.
/// Ids that the driver knew before are not ours: they stay.
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
    const auto node = "/dev/vfio/" + group;
    std::function<bool()> there = [&] { return context.host.exists(node); };
    if (!group.empty() && co_await holds(there)) co_return result<void>{};
    co_return error{
        error_code::node_missing, node, "the device is on vfio-pci, but its group has no node", {}};
}

/// Moves one PCI function to a driver, with the driver_override that keeps it there.
///
/// Arguments: `device`, `driver` (empty: none), `driver_override` (empty: any), `new_id` (the ids,
/// instead of an override), `netdev` (the name that it has to have again; empty: none). Prior
/// state: `driver`, `driver_override`, `netdev`.
class set_binding_kind final : public step_kind_handler {
public:
    std::string_view name() const override { return step_kind::set_binding; }
    std::string describe(const fields& arguments) const override;
    std::vector<std::string> manual_undo(const fields& arguments,
                                         const fields& prior) const override;
    task<fields> observe(step_context& context, const fields& arguments) const override;
    task<fields> apply(step_context& context, const fields& arguments,
                       const fields& prior) const override;
    task<presence> probe(step_context& context, const fields& arguments,
                         const fields& prior) const override;
    task<void> revert(step_context& context, const fields& arguments,
                      const fields& prior) const override;
};

} // namespace

std::string set_binding_kind::describe(const fields& arguments) const {
    const auto& driver = field(arguments, "driver");
    const auto& device = field(arguments, "device");
    if (driver.empty()) return "take " + device + " off its driver";
    return "bind " + device + " to " + driver;
}

std::vector<std::string> set_binding_kind::manual_undo(const fields& arguments,
                                                       const fields& prior) const {
    const auto& device = field(arguments, "device");
    const auto value = field(prior, "driver_override");
    std::vector<std::string> commands{
        "echo '" + value + "' > " + device_path(device) + "/driver_override",
        "echo " + device + " > " + device_path(device) + "/driver/unbind"};
    if (!field(prior, "driver").empty())
        commands.push_back("echo " + device + " > /sys/bus/pci/drivers/" + field(prior, "driver") +
                           "/bind");
    if (const auto& ids = field(arguments, "new_id"); !ids.empty())
        commands.insert(commands.begin(), "echo '" + ids + "' > " +
                                              driver_path(field(arguments, "driver")) +
                                              "/remove_id");
    if (!field(prior, "netdev").empty())
        commands.push_back("ip link set dev \"$(ls " + device_path(device) + "/net)\" name " +
                           field(prior, "netdev"));
    return commands;
}

awaitable<result<fields>> set_binding_kind::observe(step_context& context,
                                                    const fields& arguments) const {
    const auto device = field(arguments, "device");
    auto found = co_await read_binding(context, device);
    if (found.has_error()) co_return found.error();
    fields prior{{"driver", found->driver}, {"driver_override", found->driver_override}};
    if (auto netdev = context.host.first_entry(device_path(device) + "/net"))
        prior["netdev"] = std::move(*netdev);
    co_return prior;
}

awaitable<result<fields>> set_binding_kind::apply(step_context& context, const fields& arguments,
                                                  const fields& prior) const {
    const auto device = field(arguments, "device");
    auto target = target_of(arguments);
    const bool for_vfio = target.driver == "vfio-pci";
    auto ids = field(arguments, "new_id");
    result<void> bound;
    if (ids.empty())
        bound = co_await converge(context, device, std::move(target));
    else
        bound = co_await introduce(context, device, target.driver, std::move(ids),
                                   field(prior, "driver_override"));
    if (bound.has_value() && for_vfio) bound = co_await await_group_node(context, device);
    if (bound.has_value()) {
        auto netdev = field(arguments, "netdev");
        bound = co_await restore_netdev(context, device_path(device), std::move(netdev));
    }
    if (bound.has_error()) co_return bound.error();
    fields findings{{"driver", read_driver(context, device)}};
    if (auto netdev = context.host.first_entry(device_path(device) + "/net"))
        findings["netdev"] = std::move(*netdev);
    co_return findings;
}

awaitable<result<presence>> set_binding_kind::probe(step_context& context, const fields& arguments,
                                                    const fields& prior) const {
    const auto device = field(arguments, "device");
    auto found = co_await read_binding(context, device);
    if (found.has_error()) co_return found.error();
    // The netdev is there as long as the native driver is: before the step, or after it.
    auto netdev = field(prior, "netdev");
    if (netdev.empty()) netdev = field(arguments, "netdev");
    const bool misnamed = co_await is_misnamed(context, device_path(device), std::move(netdev));
    if (misnamed) co_return presence::partial;
    if (*found == target_of(prior)) co_return presence::absent;
    // Whether the driver still knows the ids cannot be read: the revert takes them back.
    if (!field(arguments, "new_id").empty()) co_return presence::partial;
    co_return *found == target_of(arguments) ? presence::applied : presence::partial;
}

awaitable<result<void>> set_binding_kind::revert(step_context& context, const fields& arguments,
                                                 const fields& prior) const {
    const auto device = field(arguments, "device");
    // We may have died between telling the ids and taking them back.
    if (auto ids = field(arguments, "new_id"); !ids.empty()) {
        auto forgotten = co_await forget_ids(context, field(arguments, "driver"), std::move(ids));
        if (forgotten.has_error()) co_return forgotten;
    }
    auto target = target_of(prior);
    auto bound = co_await converge(context, device, std::move(target));
    if (bound.has_error()) co_return bound;
    auto netdev = field(prior, "netdev");
    co_return co_await restore_netdev(context, device_path(device), std::move(netdev));
}

const step_kind_handler& set_binding_step() {
    static const set_binding_kind kind;
    return kind;
}

} // namespace vmplug
