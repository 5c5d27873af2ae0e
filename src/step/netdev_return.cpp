#include "step/netdev_return.hpp"

#include "step/shell.hpp"
#include "step/wait.hpp"

#include <algorithm>
#include <cerrno>

namespace vmplug {
namespace {

using boost::asio::awaitable;

/// What is to be done with one interface, and why the rest is not.
struct netdev_work {
    netdev_state wanted;
    netdev_state found;
    std::vector<netdev_change> changes;
    std::vector<std::string> told;
};

std::string join(const std::vector<std::string>& words) {
    std::string text;
    for (const auto& each : words)
        text += (text.empty() ? "" : ", ") + each;
    return text;
}

bool same_unit(const netdev_state& one, const netdev_state& other) {
    return !one.permanent_mac.empty() && one.permanent_mac == other.permanent_mac;
}

bool same_place(const netdev_state& one, const netdev_state& other) {
    return one.place == other.place && one.dev_port == other.dev_port;
}

bool any(const netdev_state&, const netdev_state&) {
    return true;
}

/// Which of those that are there is which of those that were: by the hardware's own address, else
/// by the place and the port. The last one left is whoever is missing, since a place may have
/// another number now.
std::vector<netdev_work> match(std::vector<netdev_state> wanted, std::vector<netdev_state> found) {
    std::vector<netdev_work> pairs;
    for (auto* alike : {&same_unit, &same_place, &any}) {
        if (alike == &any && (wanted.size() != 1 || found.size() != 1)) break;
        std::erase_if(wanted, [&](const netdev_state& one) {
            const auto is_one = [&](const auto& other) { return alike(one, other); };
            const auto it = std::ranges::find_if(found, is_one);
            if (it == found.end() ||
                (alike == &same_unit && std::ranges::count_if(found, is_one) > 1))
                return false;
            pairs.push_back({one, std::move(*it), {}, {}});
            found.erase(it);
            return true;
        });
    }
    for (auto& one : wanted)
        pairs.push_back({std::move(one), {}, {}, {"it has not come back"}});
    return pairs;
}

bool is_set_by_hand(const netdev_state& state) {
    return !state.mac.empty() && state.mac != state.permanent_mac;
}

/// Another card of the same kind has an address of its own.
bool is_another_unit(const netdev_work& work) {
    const auto& before = work.wanted.permanent_mac;
    const auto& now = work.found.permanent_mac;
    return !before.empty() && !now.empty() && before != now;
}

void plan_attributes(netdev_work& work) {
    const auto& [wanted, found, changes, told] = work;
    netdev_change change;
    change.index = found.index;
    if (wanted.mtu != 0 && wanted.mtu != found.mtu) change.mtu = wanted.mtu;
    if (is_set_by_hand(wanted) && wanted.mac != found.mac) {
        if (is_another_unit(work))
            work.told.push_back("it had the MAC " + wanted.mac + ", which another card had got");
        else
            change.mac = wanted.mac;
    }
    // Each in a request of its own: one that is refused does not keep the other away.
    if (change.mtu) work.changes.push_back({found.index, change.mtu, {}, {}, {}, {}});
    if (change.mac) work.changes.push_back({found.index, {}, change.mac, {}, {}, {}});
}

void plan_alternative_names(netdev_work& work, const std::set<std::string>& taken) {
    for (const auto& name : work.wanted.alternative_names) {
        const auto& has = work.found.alternative_names;
        if (std::ranges::find(has, name) != has.end() || name == work.found.name) continue;
        if (taken.contains(name))
            work.told.push_back("another interface has its alternative name " + name + " by now");
        else
            work.changes.push_back({work.found.index, {}, {}, {}, {name}, {}});
    }
}

void plan_name(netdev_work& work, const std::set<std::string>& taken) {
    const auto& name = work.wanted.name;
    if (work.found.name == name) return;
    if (taken.contains(name))
        work.told.push_back("another interface has the name " + name + " by now");
    else
        work.changes.push_back({work.found.index, {}, {}, name, {}, {}});
}

void plan_namespace(step_context& context, netdev_work& work) {
    const auto& home = *work.wanted.other_namespace;
    if (context.host.is_there(home))
        work.changes.push_back({work.found.index, {}, {}, work.wanted.name, {}, home});
    else
        work.told.push_back("the network namespace " + home.name() +
                            " that it was in is gone: it stays in the host's");
}

/// What its driver took along, and nobody brings back for it.
void tell_what_is_lost(netdev_work& work) {
    const auto& was = work.wanted;
    if (!was.up || work.found.up) return;
    work.told.push_back("it was up, and is down now" +
                        (was.addresses.empty()
                             ? std::string()
                             : "; it had " + join(was.addresses) + ", and routes"));
    if (!was.master.empty()) work.told.push_back("it was a member of " + was.master);
}

std::string describe(const netdev_change& change) {
    if (change.to_namespace) return "its network namespace " + change.to_namespace->name();
    if (change.mtu) return "its MTU " + std::to_string(*change.mtu);
    if (change.mac) return "its MAC " + *change.mac;
    if (change.name) return "its name " + *change.name;
    return "its alternative name " + join(change.alternative_names);
}

/// Somebody works with it already.
void leave_alone(netdev_work& work) {
    if (work.changes.empty()) return;
    std::vector<std::string> left;
    for (const auto& each : work.changes)
        left.push_back(describe(each));
    work.told.push_back("it is up already, so this is not given back: " + join(left));
    work.changes.clear();
}

void plan_return_of(step_context& context, netdev_work& work, const std::set<std::string>& taken) {
    const auto& [wanted, found, changes, told] = work;
    if (found.index == 0) return;
    const auto& home = wanted.other_namespace;
    if (found.other_namespace) {
        const bool is_home = home && home->inode == found.other_namespace->inode;
        if (!is_home)
            work.told.push_back("somebody has put it into the network namespace " +
                                found.other_namespace->name());
        return tell_what_is_lost(work);
    }
    plan_attributes(work);
    plan_alternative_names(work, taken);
    if (home)
        plan_namespace(context, work);
    else
        plan_name(work, taken);
    if (found.up) leave_alone(work);
    tell_what_is_lost(work);
}

awaitable<result<std::vector<netdev_work>>> plan_netdevs(step_context& context, std::string device,
                                                         std::vector<netdev_state> wanted) {
    auto survey = co_await context.host.read_netdevs(std::move(device), context.host_deadline);
    if (survey.has_error()) co_return survey.error();
    auto taken = std::move(survey->names_of_others);
    auto pairs = match(std::move(wanted), std::move(survey->netdevs));
    // The names of two that belong to one function may have been swapped.
    for (auto& each : pairs)
        for (const auto& other : pairs)
            if (&each != &other && !other.found.name.empty() && !other.found.other_namespace)
                taken.insert(other.found.name);
    for (auto& each : pairs)
        plan_return_of(context, each, taken);
    co_return pairs;
}

/// udev has run its rules for an interface once it is in its database, named or not.
awaitable<void> await_udev(step_context& context, std::string device,
                           std::vector<netdev_state> wanted) {
    if (!context.host.exists("/run/udev/control")) co_return;
    for (const auto& name : context.host.list_netdevs(device)) {
        if (std::ranges::find(wanted, name, &netdev_state::name) != wanted.end()) continue;
        const auto index = context.host.read_line("/sys/class/net/" + name + "/ifindex");
        std::function<bool()> settled = [&] {
            return !context.host.exists("/sys/class/net/" + name) ||
                   context.host.exists("/run/udev/data/n" + index);
        };
        co_await holds(context.time, settled);
    }
}

/// A network driver may register its interfaces after its probe has returned.
awaitable<result<void>> await_netdevs(step_context& context, std::string device,
                                      std::size_t count) {
    const auto seen = co_await context.host.read_netdevs(device, context.host_deadline);
    if (seen.has_error()) co_return seen.error();
    if (seen->netdevs.size() >= count) co_return result<void>{};
    const auto elsewhere = static_cast<std::size_t>(std::ranges::count_if(
        seen->netdevs, [](const auto& each) { return each.other_namespace.has_value(); }));
    std::function<bool()> registered = [&] {
        return context.host.list_netdevs(device).size() + elsewhere >= count;
    };
    if (co_await holds(context.time, registered)) co_return result<void>{};
    if (elsewhere != 0 || !context.host.list_netdevs(device).empty()) co_return result<void>{};
    co_return error{error_code::bind_failed, device, "the network interface has not come back", {}};
}

/// What the kernel will refuse again: it is told instead of tried for ever.
bool is_final(const result<void>& done) {
    for (const int reason : {EBUSY, EEXIST, EINVAL, EOPNOTSUPP, EADDRNOTAVAIL, ERANGE, ESTALE})
        if (failed_with(done, reason)) return true;
    return false;
}

awaitable<result<void>> carry_out(step_context& context, netdev_work& work) {
    for (const auto& change : work.changes) {
        auto wanted = change;
        auto done = co_await context.host.change_netdev(std::move(wanted), context.host_deadline);
        if (done.has_value()) continue;
        if (!is_final(done)) co_return done;
        work.told.push_back(describe(change) + " could not be given back: " + done.error().text);
    }
    co_return result<void>{};
}

/// Two that have each other's names: neither can have its own before the other has let go of it.
std::vector<netdev_change> make_room(const std::vector<netdev_work>& pairs) {
    std::vector<netdev_change> changes;
    for (const auto& each : pairs)
        for (const auto& other : pairs) {
            const bool in_the_way = &each != &other && other.found.index != 0 &&
                                    !other.found.other_namespace && !other.found.up &&
                                    other.found.name == each.wanted.name &&
                                    other.wanted.name != other.found.name;
            if (in_the_way)
                changes.push_back({other.found.index,
                                   {},
                                   {},
                                   "vmplug" + std::to_string(other.found.index % 100000),
                                   {},
                                   {}});
        }
    return changes;
}

} // namespace

awaitable<result<bool>> are_misplaced(step_context& context, std::string device,
                                      std::vector<netdev_state> wanted) {
    if (wanted.empty()) co_return false;
    const auto pairs = co_await plan_netdevs(context, std::move(device), std::move(wanted));
    if (pairs.has_error()) co_return pairs.error();
    const auto has_work = [](const netdev_work& each) { return !each.changes.empty(); };
    co_return std::ranges::any_of(*pairs, has_work) || !make_room(*pairs).empty();
}

awaitable<result<netdev_return>> restore_netdevs(step_context& context, std::string device,
                                                 std::vector<netdev_state> wanted) {
    netdev_return seen;
    if (wanted.empty()) co_return seen;
    auto there = co_await await_netdevs(context, device, wanted.size());
    if (there.has_error()) co_return there.error();
    co_await await_udev(context, device, wanted);
    auto pairs = co_await plan_netdevs(context, device, wanted);
    if (pairs.has_error()) co_return pairs.error();
    const auto room = make_room(*pairs);
    for (auto change : room) {
        auto made = co_await context.host.change_netdev(std::move(change), context.host_deadline);
        if (made.has_error()) co_return made.error();
    }
    if (!room.empty()) pairs = co_await plan_netdevs(context, device, wanted);
    if (pairs.has_error()) co_return pairs.error();
    for (auto& work : *pairs) {
        auto done = co_await carry_out(context, work);
        if (done.has_error()) co_return done.error();
        for (const auto& each : work.told)
            seen.told.push_back("network interface " + work.wanted.name + ": " + each);
    }
    const auto after = co_await context.host.read_netdevs(device, context.host_deadline);
    if (after.has_value() && !after->netdevs.empty()) {
        const auto first =
            std::ranges::find(after->netdevs, wanted.front().name, &netdev_state::name);
        seen.first_name = first == after->netdevs.end() ? after->netdevs.front().name : first->name;
    }
    co_return seen;
}

std::vector<std::string> manual_netdev_commands(const std::string& device_path,
                                                const std::vector<netdev_state>& wanted) {
    std::vector<std::string> commands;
    if (wanted.empty()) return commands;
    // Some drivers register a moment after their probe.
    commands.push_back(
        "n=0; while [ -z \"$(find " + device_path +
        "/ -path '*/net/*' -name dev_port)\" ] && [ $n -lt 50 ]; do sleep 0.1; n=$((n+1)); done");
    for (const auto& each : wanted) {
        const auto port = std::to_string(each.dev_port.value_or(0));
        const auto net = device_path + "/" + place_pattern(each.place) + "net";
        const auto name = quote_for_shell(each.name);
        const auto ours = "[ ! -e " + net + "/" + name + " ] || ";
        commands.push_back("n=$(grep -lx " + port + " " + net +
                           "/*/dev_port 2>/dev/null | head -n 1); n=${n%/dev_port}; n=${n##*/}; "
                           "[ -z \"$n\" ] || [ \"$n\" = " +
                           name + " ] || ip link set dev \"$n\" name " + name);
        if (each.mtu != 0)
            commands.push_back(ours + "ip link set dev " + name + " mtu " +
                               std::to_string(each.mtu));
        if (is_set_by_hand(each))
            commands.push_back(ours + "ip link set dev " + name + " address " + each.mac);
        for (const auto& alternative : each.alternative_names) {
            const auto quoted = quote_for_shell(alternative);
            commands.push_back(ours + "ip link show dev " + quoted +
                               " >/dev/null 2>&1 || ip link property add dev " + name +
                               " altname " + quoted);
        }
        if (each.other_namespace)
            commands.push_back(ours + "ip link set dev " + name + " netns " +
                               (each.other_namespace->path.empty()
                                    ? std::to_string(each.other_namespace->process.pid)
                                    : quote_for_shell(each.other_namespace->path)));
    }
    return commands;
}

} // namespace vmplug
