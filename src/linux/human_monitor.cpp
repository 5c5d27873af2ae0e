#include "linux/human_monitor.hpp"

#include "guest/device_tree.hpp"
#include "guest/hmp_survey.hpp"
#include "hmp/session.hpp"
#include "monitor/typed_call.hpp"
#include "qapi/control.hpp"

#include <nlohmann/json.hpp>

namespace vmplug {
namespace {

using boost::asio::awaitable;
using nlohmann::json;
using std::chrono::steady_clock;

/// A value as a property list takes it: commas are doubled.
std::string property_value(const json& value) {
    if (value.is_boolean()) return value.get<bool>() ? "on" : "off";
    if (!value.is_string()) return value.dump();
    std::string text;
    for (const char c : value.get<std::string>())
        text.append(c == ',' ? 2 : 1, c);
    return text;
}

bool is_unknown(const result<std::string>& output) {
    return output.has_error() && output.error().code == error_code::command_failed;
}

} // namespace

awaitable<result<std::string>> run_hmp_line(monitor& through, std::string line, call_limit limit) {
    const qapi::human_monitor_command command{line};
    typed_call asked(through, command);
    auto output = co_await asked.wait(limit.most(), limit.stop());
    if (output.has_error()) co_return output.error();
    std::erase(*output, '\r');
    co_return hmp::judge(line, std::move(*output));
}

awaitable<result<guest_facts>> survey_over_hmp(hmp_line_runner run, std::string version,
                                               call_limit limit) {
    const auto end = steady_clock::now() + limit.most();
    const auto left = [&] { return limit.within(time_left(end, steady_clock::now())); };
    hmp_survey asking(std::move(version));
    const auto lines = hmp_survey_lines();
    for (std::size_t i = 0; i < lines.size(); ++i) {
        const auto output = co_await run(lines[i], left());
        // What QEMU refuses is missing in the facts; anything else means no answer at all.
        if (output.has_error() && !is_unknown(output)) co_return output.error();
        if (output.has_value()) asking.answer(i, *output);
    }
    const auto bus_lines = asking.bus_lines();
    for (std::size_t i = 0; i < bus_lines.size(); ++i) {
        const auto output = co_await run(bus_lines[i], left());
        if (output.has_error() && !is_unknown(output)) co_return output.error();
        // A QEMU that does not know the line knows none of them.
        if (output.has_error() && i == 0) break;
        if (output.has_value()) asking.answer_bus(i, *output);
    }
    if (asking.failure()) co_return *asking.failure();
    co_return asking.facts();
}

awaitable<result<guest_sight>> look_over_hmp(hmp_line_runner run, std::string qdev_id,
                                             call_limit limit) {
    auto output = co_await run("info qtree", limit);
    const bool listed = is_unknown(output);
    if (listed) output = co_await run("info pci", limit);
    if (output.has_error()) co_return output.error();
    const auto tree = listed ? parse_pci_list(*output) : parse_device_tree(*output);
    const auto* device = tree.find(qdev_id);
    if (!device) co_return guest_sight::gone;
    co_return device->configured ? guest_sight::configured : guest_sight::added;
}

result<std::string> device_add_line(const std::string& arguments) {
    const auto object = nlohmann::ordered_json::parse(arguments, nullptr, false);
    if (!object.is_object() || !object.contains("driver"))
        return error{error_code::internal, "device_add", "its arguments are no object", {}};
    std::string line = "device_add " + property_value(object["driver"]);
    for (const auto& [name, value] : object.items())
        if (name != "driver") line += "," + name + "=" + property_value(value);
    return line;
}

} // namespace vmplug
