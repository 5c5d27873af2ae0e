#include "port/netdev_rules.hpp"

#include <algorithm>
#include <cctype>
#include <charconv>

#include <net/if.h>

namespace vmplug {
namespace {

constexpr std::size_t mac_bytes_max = 32;         // MAX_ADDR_LEN of the kernel
constexpr std::size_t alternative_name_max = 127; // ALTIFNAMSIZ - 1

} // namespace

bool is_netdev_name(std::string_view name) {
    if (name.empty() || name.size() >= IFNAMSIZ || name == "." || name == "..") return false;
    return std::ranges::none_of(name, [](char c) {
        return c == '/' || c == ':' || c == '\0' || std::isspace(static_cast<unsigned char>(c));
    });
}

bool is_alternative_name(std::string_view name) {
    return !name.empty() && name.size() <= alternative_name_max &&
           std::ranges::none_of(
               name, [](char c) { return std::iscntrl(static_cast<unsigned char>(c)) != 0; });
}

std::string parse_mac(std::string_view text) {
    std::string bytes;
    while (true) {
        unsigned value = 0;
        const auto part = text.substr(0, text.find(':'));
        const auto [end, bad] = std::from_chars(part.data(), part.data() + part.size(), value, 16);
        if (part.size() != 2 || bad != std::errc() || end != part.data() + 2) return {};
        bytes += static_cast<char>(value);
        if (part.size() == text.size()) break;
        text.remove_prefix(3);
    }
    return bytes.size() <= mac_bytes_max ? bytes : std::string();
}

} // namespace vmplug
