#include "step/field_check.hpp"
#include "step/host_device.hpp"
#include "step/netdev_return.hpp"
#include "step/netdev_text.hpp"
#include "step/shell.hpp"
#include "step/steps.hpp"
#include "step/wait.hpp"

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
awaitable<result<void>> converge(step_context& context, std::string device, binding target,
                                 std::string module) {
    const auto override_path = device_path(device) + "/driver_override";
    // Before all else: without its driver it is better off where it is.
    result<void> written = co_await load_driver(context, device, target.driver, std::move(module));
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

/// What a record says of the interfaces: one of an earlier vmplug has a name alone.
std::vector<netdev_state> netdevs_of(const fields& values) {
    auto parsed = parse_netdevs(field(values, "netdevs"));
    std::vector<netdev_state> netdevs;
    if (parsed.has_value()) netdevs = std::move(*parsed);
    if (!netdevs.empty() || field(values, "netdev").empty()) return netdevs;
    netdevs.emplace_back().name = field(values, "netdev");
    return netdevs;
}

result<void> check_netdevs(const fields& values) {
    auto parsed = parse_netdevs(field(values, "netdevs"));
    return parsed.has_error() ? result<void>(parsed.error()) : result<void>();
}

/// The step takes a device home: a way back that has nothing to take leaves nothing to do.
bool is_return(const fields& arguments) {
    return arguments.contains("netdev");
}

/// What stands at the device's address, against what the record knows.
enum class occupant { same, gone, another };

occupant look_at(step_context& context, const std::string& device, const fields& known) {
    if (has_left(context, device)) return occupant::gone;
    const auto& ids = field(known, "ids");
    return ids.empty() || ids == read_ids(context, device) ? occupant::same : occupant::another;
}

std::string tell(occupant who) {
    if (who == occupant::gone)
        return "the device has left the machine: there is nothing to give back";
    return "another card is in its place now, which is left alone: there is nothing to give back";
}

error has_left_meanwhile(const std::string& device) {
    return {error_code::device_not_found, device, "the device has left the machine meanwhile", {}};
}

std::string join_lines(const std::vector<std::string>& lines) {
    std::string text;
    for (const auto& each : lines)
        text += (text.empty() ? "" : "\n") + each;
    return text;
}

/// Moves one PCI function to a driver, with the driver_override that keeps it there.
///
/// Arguments: `device`, `driver` (empty: none), `driver_override` (empty: any), `new_id` (the ids,
/// instead of an override). Those of a way home also have `netdev` (the name of the first network
/// interface; empty: none), `netdevs` (all of them, see `format_netdevs`), `ids` ("8086:10d3
/// 8086:0000": another card in that place is left alone) and `module` (of the driver). Prior state:
/// the same of what it was. Findings: `driver`, `netdev`, and `told`: lines about what is not as it
/// was.
///
/// A device that has left the machine, and one that another card has replaced, has nothing to take
/// home and nothing to undo.
class set_binding_kind final : public step_kind_handler {
public:
    std::string_view name() const override { return step_kind::set_binding; }
    bool is_shared() const override { return true; }
    std::string describe(const fields& arguments) const override;
    result<void> check(const fields& arguments, const fields& prior) const override;
    std::vector<std::string> manual_undo(const fields& arguments, const fields& prior,
                                         const fields& subject) const override;
    std::vector<std::string> manual_finish(const fields& arguments,
                                           const fields& subject) const override;
    task<fields> observe(step_context& context, const fields& arguments) const override;
    task<fields> apply(step_context& context, const fields& arguments,
                       const fields& prior) const override;
    task<presence> probe(step_context& context, const fields& arguments,
                         const fields& prior) const override;
    task<void> revert(step_context& context, const fields& arguments,
                      const fields& prior) const override;
};

/// Commands that bring the device to what `target` says, from wherever it is. Each does nothing
/// when there is nothing to do.
std::vector<std::string> manual_binding(const std::string& device, const fields& target) {
    const auto path = device_path(device);
    const auto& driver = field(target, "driver");
    const auto home = quote_for_shell(driver_path(driver));
    std::vector<std::string> commands;
    if (!driver.empty()) {
        const auto& module = field(target, "module");
        commands.push_back("[ -e " + home + " ] || modprobe " +
                           quote_for_shell(module.empty() ? driver : module) +
                           " || modprobe \"$(cat " + path + "/modalias)\"");
    }
    commands.push_back("[ ! -e " + path + "/driver_override ] || echo " +
                       (field(target, "driver_override").empty()
                            ? std::string("''")
                            : quote_for_shell(field(target, "driver_override"))) +
                       " > " + path + "/driver_override");
    const auto is_home =
        driver.empty() ? std::string() : "[ " + path + "/driver -ef " + home + " ] || ";
    commands.push_back(is_home + "[ ! -e " + path + "/driver ] || echo " + device + " > " + path +
                       "/driver/unbind");
    if (!driver.empty()) commands.push_back(is_home + "echo " + device + " > " + home + "/bind");
    for (auto& each : manual_netdev_commands(path, netdevs_of(target)))
        commands.push_back(std::move(each));
    return commands;
}

} // namespace

std::string set_binding_kind::describe(const fields& arguments) const {
    const auto& driver = field(arguments, "driver");
    const auto& device = field(arguments, "device");
    if (driver.empty()) return "take " + device + " off its driver";
    return "bind " + device + " to " + driver;
}

result<void> set_binding_kind::check(const fields& arguments, const fields& prior) const {
    auto fine = field_check(arguments)
                    .has("device", is_device_address)
                    .may_have("new_id", is_id_list)
                    .verdict();
    for (const auto* values : {&arguments, &prior}) {
        if (fine.has_value())
            fine = field_check(*values)
                       .may_have("driver", is_component)
                       .may_have("driver_override", is_component)
                       .may_have("module", is_component)
                       .may_have("ids", is_id_list)
                       .may_have("netdev", is_netdev_name)
                       .verdict();
        if (fine.has_value()) fine = check_netdevs(*values);
    }
    return fine;
}

std::vector<std::string> set_binding_kind::manual_undo(const fields& arguments, const fields& prior,
                                                       const fields&) const {
    auto commands = manual_binding(field(arguments, "device"), prior);
    if (const auto& ids = field(arguments, "new_id"); !ids.empty())
        commands.insert(commands.begin(),
                        "echo '" + ids + "' > " +
                            quote_for_shell(driver_path(field(arguments, "driver"))) +
                            "/remove_id 2>/dev/null || true");
    return commands;
}

std::vector<std::string> set_binding_kind::manual_finish(const fields& arguments,
                                                         const fields&) const {
    return manual_binding(field(arguments, "device"), arguments);
}

awaitable<result<fields>> set_binding_kind::observe(step_context& context,
                                                    const fields& arguments) const {
    const auto device = field(arguments, "device");
    const auto who = look_at(context, device, arguments);
    if (who != occupant::same && is_return(arguments)) co_return fields{};
    // What cannot be seen now is not what was there before.
    if (who == occupant::gone) co_return has_left_meanwhile(device);
    auto found = co_await read_binding(context, device);
    if (found.has_error()) co_return found.error();
    if (is_return(arguments) && found->driver != field(arguments, "driver")) {
        // Before anything is touched: a driver that cannot come back is a reason to refuse.
        auto driver = field(arguments, "driver");
        auto module = field(arguments, "module");
        auto there = co_await finds_driver(context, device, std::move(driver), std::move(module));
        if (there.has_error()) co_return there.error();
    }
    auto netdevs = co_await context.host.read_netdevs(device, context.host_deadline);
    if (netdevs.has_error()) co_return netdevs.error();
    if (has_left(context, device)) {
        if (is_return(arguments)) co_return fields{};
        co_return has_left_meanwhile(device);
    }
    fields prior{{"driver", found->driver}, {"driver_override", found->driver_override}};
    prior["ids"] = read_ids(context, device);
    if (auto module = read_module(context, found->driver); !module.empty())
        prior["module"] = std::move(module);
    if (!netdevs->netdevs.empty()) {
        prior["netdev"] = netdevs->netdevs.front().name;
        prior["netdevs"] = format_netdevs(netdevs->netdevs);
    }
    co_return prior;
}

awaitable<result<fields>> set_binding_kind::apply(step_context& context, const fields& arguments,
                                                  const fields& prior) const {
    const auto device = field(arguments, "device");
    const auto who = look_at(context, device, arguments);
    if (who != occupant::same && is_return(arguments)) co_return fields{{"told", tell(who)}};
    if (who == occupant::gone) co_return has_left_meanwhile(device);
    auto target = target_of(arguments);
    const bool for_vfio = target.driver == "vfio-pci";
    auto ids = field(arguments, "new_id");
    auto module = field(arguments, "module");
    result<void> bound;
    if (ids.empty())
        bound = co_await converge(context, device, std::move(target), std::move(module));
    else
        bound = co_await introduce(context, device, target.driver, std::move(ids),
                                   field(prior, "driver_override"));
    if (bound.has_value() && for_vfio) bound = co_await await_group_node(context, device);
    const bool left_meanwhile = bound.has_error() && has_left(context, device);
    if (left_meanwhile && is_return(arguments)) co_return fields{{"told", tell(occupant::gone)}};
    if (bound.has_error()) co_return bound.error();
    auto netdevs = netdevs_of(arguments);
    auto returned = co_await restore_netdevs(context, device, std::move(netdevs));
    if (returned.has_error()) co_return returned.error();
    fields findings{{"driver", read_driver(context, device)}};
    if (!returned->first_name.empty()) findings["netdev"] = returned->first_name;
    if (!returned->told.empty()) findings["told"] = join_lines(returned->told);
    co_return findings;
}

awaitable<result<presence>> set_binding_kind::probe(step_context& context, const fields& arguments,
                                                    const fields& prior) const {
    const auto device = field(arguments, "device");
    const bool home = is_return(arguments);
    // Of what is not there nothing stands; that there is nothing to take home is still to be told.
    if (look_at(context, device, home ? arguments : prior) != occupant::same)
        co_return home ? presence::partial : presence::absent;
    auto found = co_await read_binding(context, device);
    if (found.has_error()) co_return found.error();
    // The interfaces are there as long as the native driver is: before the step, or after it.
    auto netdevs = netdevs_of(prior);
    if (netdevs.empty()) netdevs = netdevs_of(arguments);
    const bool has_native = found->driver == field(home ? arguments : prior, "driver");
    if (has_native) {
        const auto misplaced = co_await are_misplaced(context, device, std::move(netdevs));
        if (misplaced.has_error()) co_return misplaced.error();
        if (*misplaced) co_return presence::partial;
    }
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
    if (look_at(context, device, prior) != occupant::same) co_return result<void>{};
    auto target = target_of(prior);
    auto module = field(prior, "module");
    auto bound = co_await converge(context, device, std::move(target), std::move(module));
    if (bound.has_error()) co_return bound;
    auto netdevs = netdevs_of(prior);
    auto returned = co_await restore_netdevs(context, device, std::move(netdevs));
    co_return returned.has_error() ? result<void>(returned.error()) : result<void>();
}

const step_kind_handler& set_binding_step() {
    static const set_binding_kind kind;
    return kind;
}

} // namespace vmplug
