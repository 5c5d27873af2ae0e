#include <vmplug/monitor.hpp>

#include <charconv>

namespace vmplug {
namespace {

/// PATH_MAX without its terminating zero; a path that is longer than a socket's address can be is
/// reached all the same.
constexpr std::size_t socket_path_max = 4095;
/// sun_path without its leading zero.
constexpr std::size_t abstract_name_max = 107;

error bad_address(std::string_view text) {
    return {error_code::invalid_argument, std::string(text.substr(0, 200)),
            "this is not the address of a monitor", "write qmp:PATH, hmp:PATH or tcp:HOST:PORT"};
}

result<monitor_address> parse_tcp(std::string_view text) {
    const auto colon = text.rfind(':');
    if (colon == std::string_view::npos || colon == 0) return bad_address(text);
    monitor_address address;
    address.host = text.substr(0, colon);
    if (address.host.starts_with('[') && address.host.ends_with(']'))
        address.host = address.host.substr(1, address.host.size() - 2);
    const auto port = text.substr(colon + 1);
    const auto [end, failure] =
        std::from_chars(port.data(), port.data() + port.size(), address.port);
    if (failure != std::errc() || end != port.data() + port.size() || address.port == 0)
        return bad_address(text);
    return address;
}

} // namespace

result<monitor_address> parse_monitor_address(std::string_view text) {
    if (text.starts_with("hmp:")) {
        auto address = parse_monitor_address(text.substr(4));
        if (address.has_value()) address->human = true;
        return address;
    }
    if (text.starts_with("tcp:")) return parse_tcp(text.substr(4));
    auto path = text.starts_with("qmp:") ? text.substr(4) : text;
    monitor_address address;
    address.abstract = path.starts_with('@');
    const auto length_max = address.abstract ? abstract_name_max : socket_path_max;
    if (address.abstract) path.remove_prefix(1);
    if (path.empty() || path.size() > length_max || path.find('\0') != path.npos)
        return bad_address(text);
    address.path = path;
    return address;
}

std::string format_monitor_address(const monitor_address& address) {
    if (!address.path.empty())
        return (address.human ? "hmp:" : "qmp:") + std::string(address.abstract ? "@" : "") +
               address.path;
    const bool is_v6 = address.host.find(':') != std::string::npos;
    return (address.human ? "hmp:tcp:" : "tcp:") +
           (is_v6 ? "[" + address.host + "]" : address.host) + ":" + std::to_string(address.port);
}

} // namespace vmplug
