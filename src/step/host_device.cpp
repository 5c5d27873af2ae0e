#include "step/host_device.hpp"

#include "step/field_check.hpp"

#include <vmplug/host_facts.hpp>

namespace vmplug {
namespace {

using boost::asio::awaitable;

constexpr const char* devices_path = "/sys/bus/pci/devices";

/// "0x8086" without its prefix.
std::string read_id(step_context& context, const std::string& path) {
    const auto text = context.host.read_line(path);
    return text.starts_with("0x") ? text.substr(2) : text;
}

/// What modprobe can be asked for, in order.
std::vector<std::string> modules_for(step_context& context, const std::string& device,
                                     const std::string& driver, const std::string& module) {
    std::vector<std::string> names{module.empty() ? driver : module};
    // What the device asks for is a host driver.
    if (is_assignment_driver(driver)) return names;
    auto alias = context.host.read_line(device_path(device) + "/modalias");
    if (is_modalias(alias)) names.push_back(std::move(alias));
    return names;
}

error no_driver(const std::string& driver, const std::string& last_words) {
    return {error_code::driver_unavailable, driver_path(driver),
            "the device's own driver is not there, and no module brings it back" +
                (last_words.empty() ? std::string() : ": " + last_words),
            "load its module (modprobe), then repeat"};
}

} // namespace

std::string device_path(const std::string& device) {
    return std::string(devices_path) + "/" + device;
}

std::string driver_path(const std::string& driver) {
    return "/sys/bus/pci/drivers/" + driver;
}

std::string read_driver(step_context& context, const std::string& device) {
    return context.host.read_link_name(device_path(device) + "/driver").value_or("");
}

std::string read_ids(step_context& context, const std::string& device) {
    const auto id = [&](const char* file) { return read_id(context, device_path(device) + file); };
    const auto vendor = id("/vendor");
    if (vendor.empty()) return {};
    return vendor + ":" + id("/device") + " " + id("/subsystem_vendor") + ":" +
           id("/subsystem_device");
}

std::string read_module(step_context& context, const std::string& driver) {
    if (driver.empty()) return {};
    return context.host.read_link_name(driver_path(driver) + "/module").value_or("");
}

bool has_left(step_context& context, const std::string& device) {
    return !context.host.exists(device_path(device)) && context.host.exists(devices_path);
}

awaitable<result<void>> load_driver(step_context& context, std::string device, std::string driver,
                                    std::string module) {
    const auto path = driver_path(driver);
    if (driver.empty() || context.host.exists(path)) co_return result<void>{};
    std::string last_words;
    for (auto& name : modules_for(context, device, driver, module)) {
        auto loaded = co_await context.host.load_module(std::move(name), context.host_deadline);
        if (context.host.exists(path)) co_return result<void>{};
        if (loaded.has_error() && loaded.error().code != error_code::driver_unavailable)
            co_return loaded;
        if (loaded.has_error()) last_words = loaded.error().text;
    }
    co_return no_driver(driver, last_words);
}

awaitable<result<void>> finds_driver(step_context& context, std::string device, std::string driver,
                                     std::string module) {
    if (driver.empty() || context.host.exists(driver_path(driver))) co_return result<void>{};
    for (auto& name : modules_for(context, device, driver, module)) {
        const auto found =
            co_await context.host.finds_module(std::move(name), context.host_deadline);
        if (found.has_error()) co_return found.error();
        if (*found) co_return result<void>{};
    }
    co_return no_driver(driver, {});
}

} // namespace vmplug
