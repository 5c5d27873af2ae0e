#include "plan/cold_start.hpp"

#include <algorithm>

namespace vmplug {
namespace {

/// Chassis numbers have to differ from those of the ports that the guest has; people count from 1.
constexpr std::size_t first_chassis = 101;

class port_maker {
public:
    port_maker(std::span<const std::string> in_use, std::vector<std::string>& arguments)
        : in_use_(in_use), arguments_(arguments) {}

    /// Adds a root port and returns its name.
    std::string make() {
        std::string name;
        do
            name = "port" + std::to_string(next_++);
        while (std::ranges::find(in_use_, name) != in_use_.end());
        arguments_.emplace_back("-device");
        arguments_.push_back("pcie-root-port,id=" + name +
                             ",chassis=" + std::to_string(first_chassis + made_++));
        return name;
    }

private:
    std::span<const std::string> in_use_;
    std::vector<std::string>& arguments_;
    std::size_t next_ = 0;
    std::size_t made_ = 0;
};

/// Commas end a value in QEMU's property lists; doubled they stand for themselves.
std::string property_text(const std::string& value) {
    std::string text;
    for (const char c : value)
        text.append(c == ',' ? 2 : 1, c);
    return text;
}

} // namespace

std::vector<std::string> cold_start_arguments(const cold_start& wanted) {
    std::vector<std::string> arguments;
    port_maker ports(wanted.in_use, arguments);
    for (const auto& each : wanted.devices) {
        auto port = each.port;
        if (port.empty() && wanted.express) port = ports.make();
        auto device = wanted.model + ",host=" + format_address_short(each.device) +
                      ",id=" + property_text(each.id);
        if (!port.empty()) device += ",bus=" + property_text(port);
        if (wanted.express) device += ",addr=0x0";
        arguments.emplace_back("-device");
        arguments.push_back(std::move(device));
    }
    for (std::size_t i = 0; wanted.express && i < wanted.free_ports; ++i)
        ports.make();
    return arguments;
}

} // namespace vmplug
