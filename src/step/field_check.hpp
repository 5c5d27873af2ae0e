#pragma once

#include "port/netdev_rules.hpp"

#include <vmplug/operation.hpp>

#include <charconv>
#include <initializer_list>
#include <string>
#include <string_view>

namespace vmplug {

// What a record may hold. Its fields are text that anybody may have written who could write to the
// journal: each is parsed into its type before anything is done with it, and none can leave its
// place, be it a directory of sysfs or a line of a shell.

/// A PCI address in the form that `format_address` gives.
bool is_device_address(std::string_view text);

/// The name of a driver, of a module or of a boot: one component of a path, of letters, digits,
/// " _-.+!:" alone, which does not begin with a "-".
bool is_component(std::string_view text);

/// Several components; without "." and "..". The absolute one begins with "/".
bool is_relative_path(std::string_view text);
bool is_plain_path(std::string_view text);

bool is_boot_id(std::string_view text);

/// "pci:v00008086d000010D3sv..."
bool is_modalias(std::string_view text);

/// What new_id takes: hexadecimal numbers of at most eight digits between single spaces; and the
/// same with other separators, as of "8086:10d3 8086:a01f".
bool is_id_list(std::string_view text);

/// "192.0.2.7/24", "2001:db8::1/64"
bool is_network_address(std::string_view text);

/// QEMU's rule for ids (id_wellformed of util/id.c).
bool is_qdev_id(std::string_view text);

/// Which fields have to be what; a field that is missing passes as the empty text does.
class field_check {
public:
    explicit field_check(const fields& values) : values_(values) {}

    using test = bool (*)(std::string_view);

    /// The field has to be there.
    field_check& has(const char* name, test is_right);
    /// The field may be missing or empty.
    field_check& may_have(const char* name, test is_right);

    /// Errors: `journal_corrupt`, with the name of the first field that is wrong.
    result<void> verdict() const;

private:
    const fields& values_;
    std::string wrong_;
};

/// The number in a field, 0 when it is missing or no number.
template <class Number>
Number number_field(const fields& values, const std::string& name) {
    const auto& text = field(values, name);
    Number number{};
    std::from_chars(text.data(), text.data() + text.size(), number);
    return number;
}

/// A decimal number that is not negative, as of a pid, a limit, a deadline.
bool is_pid(std::string_view text);
bool is_unsigned(std::string_view text);
bool is_milliseconds(std::string_view text);

} // namespace vmplug
