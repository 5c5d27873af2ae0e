#include "command/complete/completion.hpp"

#include "command/render/device_names.hpp"

#include <algorithm>

namespace vmplug {
namespace {

using candidates = std::vector<candidate>;

candidates verb_names() {
    candidates found;
    for (const auto& row : verbs())
        found.push_back({row.name, row.summary});
    return found;
}

candidates option_names(const completion_point& point) {
    candidates found;
    const auto add = [&](const verb_option& each) {
        if (point.takes(each)) found.push_back({long_name(each), each.help, true});
    };
    if (point.row) std::ranges::for_each(point.row->options, add);
    std::ranges::for_each(common_options(), add);
    found.push_back({"--help", "what is allowed, with an example", true});
    if (!point.row) found.push_back({"--version", "this version and what it is built on", true});
    return found;
}

candidates choices(std::string_view texts) {
    candidates found;
    while (!texts.empty()) {
        const auto end = std::min(texts.find('|'), texts.size());
        found.push_back({std::string(texts.substr(0, end)), {}});
        texts.remove_prefix(std::min(end + 1, texts.size()));
    }
    return found;
}

/// A number is written, its unit can be offered.
candidates durations(const std::string& word) {
    const bool number = !word.empty() && word.find_first_not_of("0123456789") == word.npos;
    if (!number) return {};
    return {{word + "ms", "milliseconds"}, {word + "s", "seconds"}, {word + "m", "minutes"}};
}

candidates error_codes() {
    candidates found;
    for (const auto& entry : error_catalogue())
        found.push_back({std::string(entry.name), std::string(entry.cause)});
    return found;
}

/// A QEMU by its name; by its pid where the name is no plain word or not its own.
candidates guests(const controller& control, const std::string& word) {
    candidates found;
    const auto read = control.read_qemus(false);
    const auto qemus = read.has_value() ? *read : std::vector<qemu_process>();
    for (const auto& each : qemus) {
        const auto pid = std::to_string(each.identity.pid);
        const bool by_name = is_plain_word(each.name) &&
                             std::ranges::count(qemus, each.name, &qemu_process::name) == 1;
        found.push_back({by_name ? each.name : pid,
                         (by_name ? "pid " + pid : each.name) + ", " + each.machine});
        for (const auto& monitor : each.monitors) {
            if (monitor.speaks != qemu_monitor::protocol::qmp) continue;
            // As it is written: a path, or with its protocol.
            const bool path = word.starts_with("/") && monitor.address.starts_with("qmp:");
            if (path || word.find(':') != word.npos)
                found.push_back({monitor.address.substr(path ? 4 : 0), each.name});
        }
    }
    return found;
}

/// What a person would recognise a function by.
std::string description(const device_names& names, const pci_function& function) {
    std::string text;
    for (const auto& netdev : function.netdevs)
        text += netdev + ", ";
    return text + (function.driver.empty() ? "no driver" : function.driver) + ", " +
           names.name(function);
}

/// Functions but bridges, which belong to the host, with the domain only where it is written or
/// needed; and their netdevs.
candidates devices(const controller& control, const std::string& word) {
    candidates found;
    const device_names names;
    const bool with_domain = word.starts_with("0000");
    for (const auto& function : control.read_host(false, false).functions) {
        if (function.is_bridge()) continue;
        const auto& address = function.address;
        found.push_back({with_domain ? format_address(address) : format_address_short(address),
                         description(names, function)});
        for (const auto& netdev : function.netdevs)
            found.push_back({netdev, format_address_short(address)});
    }
    return found;
}

candidates assigned_ids(const controller& control, const std::string& guest) {
    candidates found;
    const auto records = control.assignments();
    if (records.has_error()) return found;
    for (const auto& record : *records)
        if (guest.empty() || names_guest(record.subject, guest))
            found.push_back({field(record.subject, "id"), field(record.subject, "device")});
    return found;
}

boost::asio::awaitable<candidates> free_ports(const controller& control, std::string guest) {
    candidates found;
    if (guest.empty()) co_return found;
    const auto view = co_await control.query_guest(std::move(guest));
    if (view.has_error()) co_return found;
    for (const auto& port : view->facts.ports)
        if (port.is_free()) found.push_back({port.bus, port.type});
    co_return found;
}

boost::asio::awaitable<candidates> values(const controller& control,
                                          const completion_point& point) {
    switch (point.kind) {
    case value_kind::vm:
        co_return guests(control, point.word);
    case value_kind::device:
        co_return devices(control, point.word);
    case value_kind::port:
        co_return co_await free_ports(control, point.given.first("VM"));
    case value_kind::assigned_id:
        co_return assigned_ids(control, point.given.first("VM"));
    case value_kind::duration:
        co_return durations(point.word);
    case value_kind::choice:
        co_return choices(point.choices);
    case value_kind::error_code:
        co_return error_codes();
    case value_kind::none:
    case value_kind::text:
    case value_kind::number:
    case value_kind::property:
    case value_kind::words:
    case value_kind::anything:
        break;
    }
    co_return candidates();
}

} // namespace

boost::asio::awaitable<candidates> complete(const controller& control, completion_point point) {
    switch (point.expects) {
    case completion_point::target::verb_name:
        co_return verb_names();
    case completion_point::target::option_name:
        co_return option_names(point);
    case completion_point::target::value:
        co_return co_await values(control, point);
    case completion_point::target::nothing:
        break;
    }
    co_return candidates();
}

} // namespace vmplug
