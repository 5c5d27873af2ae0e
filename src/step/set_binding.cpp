#include "step/set_binding.hpp"

#include "step/driver_move.hpp"
#include "step/host_device.hpp"
#include "step/netdev_return.hpp"
#include "step/shell.hpp"
#include "step/steps.hpp"
#include "step/typed_kind.hpp"

namespace vmplug {
namespace {

using boost::asio::awaitable;

/// What stands at the device's address, against what the record knows.
enum class occupant { same, gone, another };

occupant look_at(step_context& context, const std::string& device, const binding_state& known) {
    if (has_left(context, device)) return occupant::gone;
    const bool same = known.ids.empty() || known.ids == read_ids(context, device);
    return same ? occupant::same : occupant::another;
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

/// Findings: `driver`, `netdev`, and `told`: lines about what is not as it was.
///
/// A device that has left the machine, and one that another card has replaced, has nothing to take
/// home and nothing to undo.
struct set_binding_kind : kind_defaults<set_binding_arguments, binding_state> {
    // A group goes to a guest as a whole.
    static constexpr shared_by sharers = shared_by::group;

    static std::string describe(const arguments& told);
    static std::optional<step> inverse(const arguments& told, const prior& before);
    static std::vector<std::string> manual_undo(const arguments& told, const prior& before,
                                                const fields& subject);
    static std::vector<std::string> manual_finish(const arguments& told, const fields& subject);
    static task<prior> observe(step_context& context, const arguments& told);
    static task<fields> apply(step_context& context, const arguments& told, const prior& before);
    static task<presence> probe(step_context& context, const arguments& told, const prior& before);
    static task<void> revert(step_context& context, const arguments& told, const prior& before);
};

std::string set_binding_kind::describe(const arguments& told) {
    const auto device = format_address(told.device);
    if (told.target.driver.empty()) return "take " + device + " off its driver";
    return "bind " + device + " to " + told.target.driver;
}

std::optional<step> set_binding_kind::inverse(const arguments& told, const prior& before) {
    return arguments{told.device, before, {}, true}.to_step();
}

std::vector<std::string> set_binding_kind::manual_undo(const arguments& told, const prior& before,
                                                       const fields&) {
    auto commands = manual_binding(format_address(told.device), before);
    if (!told.new_id.empty())
        commands.insert(commands.begin(), "echo '" + told.new_id + "' > " +
                                              quote_for_shell(driver_path(told.target.driver)) +
                                              "/remove_id 2>/dev/null || true");
    return commands;
}

std::vector<std::string> set_binding_kind::manual_finish(const arguments& told, const fields&) {
    return manual_binding(format_address(told.device), told.target);
}

awaitable<result<binding_state>> set_binding_kind::observe(step_context& context,
                                                           const arguments& told) {
    const auto device = format_address(told.device);
    const auto who = look_at(context, device, told.target);
    if (who != occupant::same && told.is_home) co_return prior();
    // What cannot be seen now is not what was there before.
    if (who == occupant::gone) co_return has_left_meanwhile(device);
    auto found = co_await read_binding(context, device);
    if (found.has_error()) co_return found.error();
    if (told.is_home && found->driver != told.target.driver) {
        // Before anything is touched: a driver that cannot come back is a reason to refuse.
        auto there = co_await finds_driver(context, device, told.target.driver, told.target.module);
        if (there.has_error()) co_return there.error();
    }
    auto netdevs = co_await context.host.read_netdevs(device, context.host_deadline);
    if (netdevs.has_error()) co_return netdevs.error();
    if (has_left(context, device)) {
        if (told.is_home) co_return prior();
        co_return has_left_meanwhile(device);
    }
    found->ids = read_ids(context, device);
    found->module = read_module(context, found->driver);
    found->netdevs = std::move(netdevs->netdevs);
    co_return found;
}

awaitable<result<void>> move(step_context& context, std::string device,
                             const set_binding_arguments& told, const binding_state& before) {
    result<void> bound;
    if (told.new_id.empty())
        bound = co_await converge(context, device, told.target);
    else
        bound = co_await introduce(context, device, told.target.driver, told.new_id,
                                   before.driver_override);
    if (bound.has_value() && told.target.driver == "vfio-pci")
        bound = co_await await_group_node(context, device);
    co_return bound;
}

awaitable<result<fields>> set_binding_kind::apply(step_context& context, const arguments& told,
                                                  const prior& before) {
    const auto device = format_address(told.device);
    const auto who = look_at(context, device, told.target);
    if (who != occupant::same && told.is_home) co_return fields{{"told", tell(who)}};
    if (who == occupant::gone) co_return has_left_meanwhile(device);
    const auto moved = co_await move(context, device, told, before);
    const bool left_meanwhile = moved.has_error() && has_left(context, device);
    if (left_meanwhile && told.is_home) co_return fields{{"told", tell(occupant::gone)}};
    if (moved.has_error()) co_return moved.error();
    auto returned = co_await restore_netdevs(context, device, told.target.netdevs);
    if (returned.has_error()) co_return returned.error();
    fields findings{{"driver", read_driver(context, device)}};
    if (!returned->first_name.empty()) findings["netdev"] = returned->first_name;
    if (!returned->told.empty()) findings["told"] = join_lines(returned->told);
    co_return findings;
}

awaitable<result<presence>> set_binding_kind::probe(step_context& context, const arguments& told,
                                                    const prior& before) {
    const auto device = format_address(told.device);
    const auto& native = told.is_home ? told.target : before;
    // Of what is not there nothing stands; that there is nothing to take home is still to be told.
    if (look_at(context, device, native) != occupant::same)
        co_return told.is_home ? presence::partial : presence::absent;
    auto found = co_await read_binding(context, device);
    if (found.has_error()) co_return found.error();
    // The interfaces are there as long as the native driver is: before the step, or after it.
    if (found->driver == native.driver) {
        const auto& netdevs = before.netdevs.empty() ? told.target.netdevs : before.netdevs;
        const auto misplaced = co_await are_misplaced(context, device, netdevs);
        if (misplaced.has_error()) co_return misplaced.error();
        if (*misplaced) co_return presence::partial;
    }
    if (found->is_bound_like(before)) co_return presence::absent;
    // Whether the driver still knows the ids cannot be read: the revert takes them back.
    if (!told.new_id.empty()) co_return presence::partial;
    co_return found->is_bound_like(told.target) ? presence::applied : presence::partial;
}

awaitable<result<void>> set_binding_kind::revert(step_context& context, const arguments& told,
                                                 const prior& before) {
    const auto device = format_address(told.device);
    // We may have died between telling the ids and taking them back.
    if (!told.new_id.empty()) {
        auto forgotten = co_await forget_ids(context, told.target.driver, told.new_id);
        if (forgotten.has_error()) co_return forgotten;
    }
    if (look_at(context, device, before) != occupant::same) co_return result<void>{};
    auto bound = co_await converge(context, device, before);
    if (bound.has_error()) co_return bound;
    auto returned = co_await restore_netdevs(context, device, before.netdevs);
    co_return returned.has_error() ? result<void>(returned.error()) : result<void>();
}

} // namespace

const step_kind_handler& set_binding_step() {
    static const typed_kind<set_binding_kind> kind;
    return kind;
}

} // namespace vmplug
