#include "command/table/check_values.hpp"

#include <algorithm>
#include <string_view>

namespace vmplug {
namespace {

constexpr std::string_view blanks = " \t\r\n\v\f";
constexpr std::string_view line_ends{"\0\r\n", 3};

bool is_control(char c) {
    const auto byte = static_cast<unsigned char>(c);
    return byte < 0x20 || byte == 0x7f;
}

bool is_blank(const std::string& text) {
    return text.find_first_not_of(blanks) == text.npos;
}

/// Why one value names nothing, nullptr when it may.
const char* fault_of_name(const std::string& value) {
    if (value.empty()) return "it is empty";
    if (is_blank(value)) return "it is blank";
    if (value.find('\0') != value.npos) return "it has a NUL in it";
    if (std::ranges::any_of(value, is_control)) return "it has a control character in it";
    return nullptr;
}

const char* fault_of_words(std::span<const std::string> words) {
    if (std::ranges::all_of(words, is_blank)) return "it is empty";
    for (const auto& each : words)
        if (each.find_first_of(line_ends) != each.npos) return "it is more than one line";
    return nullptr;
}

const char* fault_of_all(value_kind kind, std::span<const std::string> values) {
    if (kind == value_kind::anything) return nullptr;
    if (kind == value_kind::words) return fault_of_words(values);
    for (const auto& each : values)
        if (const char* why = fault_of_name(each)) return why;
    return nullptr;
}

} // namespace

std::optional<error> find_fault(const std::string& name, value_kind kind,
                                std::span<const std::string> values) {
    if (values.empty()) return std::nullopt;
    const char* why = fault_of_all(kind, values);
    if (!why) return std::nullopt;
    return error{error_code::invalid_argument, name, why,
                 "give it a value, or leave it out where it may be; an unset variable of a script "
                 "becomes an empty one"};
}

} // namespace vmplug
