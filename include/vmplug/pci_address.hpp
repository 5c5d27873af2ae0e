#pragma once

#include <vmplug/error.hpp>

#include <compare>
#include <cstdint>
#include <string>
#include <string_view>

namespace vmplug {

/// Where a PCI function sits: domain, bus, device (0..31), function (0..7).
///
/// Shape: text form `0000:01:00.0`; the domain may be left out when parsed. Domains wider than 16
/// bits (VMD) are printed as wide as they are.
/// The tag keeps an address of the host and one inside a guest apart: they never mix.
template <class Tag>
struct basic_pci_address {
    std::uint32_t domain = 0;
    std::uint8_t bus = 0;
    std::uint8_t device = 0;
    std::uint8_t function = 0;

    auto operator<=>(const basic_pci_address&) const = default;
};

using host_address = basic_pci_address<struct host_tag>;
using guest_address = basic_pci_address<struct guest_tag>;

/// Parses `[DDDD:]BB:DD.F`, hexadecimal.
/// Errors: `invalid_argument` for any other text; nothing else was looked at.
result<host_address> parse_host_address(std::string_view text);

std::string format_address(const host_address& address);
std::string format_address(const guest_address& address);

/// The form that QEMU's `host=` takes: the domain only when it is not 0.
std::string format_address_short(const host_address& address);

} // namespace vmplug
