#include <vmplug/pci_address.hpp>

#include <charconv>
#include <cstdio>
#include <optional>

namespace vmplug {
namespace {

/// Takes a hexadecimal number of `digits_min` to `digits_max` digits off the front of `text`.
std::optional<std::uint32_t> take_hex(std::string_view& text, std::size_t digits_min,
                                      std::size_t digits_max) {
    std::uint32_t value = 0;
    const auto end = text.data() + std::min(text.size(), digits_max);
    const auto [stop, failure] = std::from_chars(text.data(), end, value, 16);
    const auto digits = static_cast<std::size_t>(stop - text.data());
    if (failure != std::errc{} || digits < digits_min) return std::nullopt;
    text.remove_prefix(digits);
    return value;
}

bool take_char(std::string_view& text, char wanted) {
    if (text.empty() || text.front() != wanted) return false;
    text.remove_prefix(1);
    return true;
}

template <class Address>
std::optional<Address> parse(std::string_view text) {
    const bool has_domain = text.find(':') != text.rfind(':');
    std::optional<std::uint32_t> domain = 0;
    if (has_domain) {
        domain = take_hex(text, 1, 8);
        if (!domain || !take_char(text, ':')) return std::nullopt;
    }
    const auto bus = take_hex(text, 1, 2);
    if (!bus || !take_char(text, ':')) return std::nullopt;
    const auto device = take_hex(text, 1, 2);
    if (!device || *device > 0x1f || !take_char(text, '.')) return std::nullopt;
    const auto function = take_hex(text, 1, 1);
    if (!function || *function > 7 || !text.empty()) return std::nullopt;
    return Address{*domain, static_cast<std::uint8_t>(*bus), static_cast<std::uint8_t>(*device),
                   static_cast<std::uint8_t>(*function)};
}

template <class Address>
result<Address> parse_or_error(std::string_view text) {
    if (const auto address = parse<Address>(text)) return *address;
    return error{error_code::invalid_argument, std::string(text.substr(0, 100)),
                 "this is not a PCI address",
                 "write it as DDDD:BB:DD.F, for example 0000:01:00.0 (device up to 1f, function up "
                 "to 7)"};
}

template <class Address>
std::string format(const Address& address, bool with_domain) {
    char text[24];
    if (with_domain)
        std::snprintf(text, sizeof text, "%04x:%02x:%02x.%x", address.domain, address.bus,
                      address.device, address.function);
    else
        std::snprintf(text, sizeof text, "%02x:%02x.%x", address.bus, address.device,
                      address.function);
    return text;
}

} // namespace

result<host_address> parse_host_address(std::string_view text) {
    return parse_or_error<host_address>(text);
}

std::string format_address(const host_address& address) {
    return format(address, true);
}
std::string format_address(const guest_address& address) {
    return format(address, true);
}

std::string format_address_short(const host_address& address) {
    return format(address, address.domain != 0);
}

} // namespace vmplug
