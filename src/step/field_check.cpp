#include "step/field_check.hpp"

#include <vmplug/pci_address.hpp>

#include <algorithm>
#include <cctype>
#include <charconv>
#include <cstdint>

#include <arpa/inet.h>

namespace vmplug {
namespace {

constexpr std::size_t component_length_max = 64;
constexpr std::size_t path_length_max = 1024;
constexpr std::size_t modalias_length_max = 200;
constexpr std::size_t id_length_max = 127;
constexpr std::int64_t week_ms = std::int64_t{7} * 24 * 3'600'000;

bool is_alphanumeric(char c) {
    return std::isalnum(static_cast<unsigned char>(c)) != 0;
}

/// Letters and digits of ASCII (the locale may know more), and those of `more`.
bool consists_of(std::string_view text, std::string_view more) {
    return std::ranges::all_of(text, [&](char c) {
        const bool ascii = static_cast<unsigned char>(c) < 0x80;
        return (ascii && is_alphanumeric(c)) || more.find(c) != more.npos;
    });
}

template <class Number>
bool is_number(std::string_view text, Number least, Number most) {
    Number value{};
    const auto [end, bad] = std::from_chars(text.data(), text.data() + text.size(), value);
    return bad == std::errc() && end == text.data() + text.size() && value >= least &&
           value <= most;
}

} // namespace

bool is_device_address(std::string_view text) {
    const auto parsed = parse_host_address(text);
    return parsed.has_value() && format_address(*parsed) == text;
}

bool is_component(std::string_view text) {
    return !text.empty() && text.size() <= component_length_max && text.front() != '-' &&
           text != "." && text != ".." && consists_of(text, " _-.+!:");
}

bool is_relative_path(std::string_view text) {
    if (text.size() > path_length_max) return false;
    for (;;) {
        const auto slash = text.find('/');
        if (!is_component(text.substr(0, slash))) return false;
        if (slash == text.npos) return true;
        text.remove_prefix(slash + 1);
    }
}

bool is_plain_path(std::string_view text) {
    return text.starts_with('/') && is_relative_path(text.substr(1));
}

bool is_boot_id(std::string_view text) {
    return text.size() <= component_length_max && consists_of(text, "-");
}

bool is_modalias(std::string_view text) {
    return text.size() <= modalias_length_max && text.starts_with("pci:") && consists_of(text, ":");
}

bool is_id_list(std::string_view text) {
    return !text.empty() && text.size() <= component_length_max &&
           std::ranges::all_of(text, [](char c) {
               return std::isxdigit(static_cast<unsigned char>(c)) || c == ' ' || c == ':';
           });
}

bool is_network_address(std::string_view text) {
    const auto slash = text.find('/');
    if (slash == text.npos || !is_number<int>(text.substr(slash + 1), 0, 128)) return false;
    const std::string address(text.substr(0, slash));
    in6_addr ignored{};
    return ::inet_pton(AF_INET, address.c_str(), &ignored) == 1 ||
           ::inet_pton(AF_INET6, address.c_str(), &ignored) == 1;
}

bool is_qdev_id(std::string_view text) {
    return !text.empty() && text.size() <= id_length_max && consists_of(text, "-._") &&
           std::isalpha(static_cast<unsigned char>(text.front())) != 0;
}

bool is_pid(std::string_view text) {
    return is_number<std::int32_t>(text, 1, INT32_MAX);
}

bool is_unsigned(std::string_view text) {
    return is_number<std::uint64_t>(text, 0, UINT64_MAX);
}

bool is_milliseconds(std::string_view text) {
    return is_number<std::int64_t>(text, 0, week_ms * 52);
}

field_check& field_check::has(const char* name, test is_right) {
    if (wrong_.empty() && !is_right(field(values_, name))) wrong_ = name;
    return *this;
}

field_check& field_check::may_have(const char* name, test is_right) {
    return field(values_, name).empty() ? *this : has(name, is_right);
}

result<void> field_check::verdict() const {
    if (wrong_.empty()) return {};
    return error{error_code::journal_corrupt,
                 wrong_,
                 "the record has a value that nobody can have written there by right: " +
                     field(values_, wrong_).substr(0, 100),
                 {},
                 advice::distrust_record};
}

} // namespace vmplug
