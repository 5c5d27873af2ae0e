#include "plan/property_text.hpp"

#include "qapi/write_json.hpp"

#include <algorithm>
#include <array>
#include <charconv>
#include <cstdint>
#include <optional>
#include <string_view>

namespace vmplug {
namespace {

std::optional<bool> parse_bool(std::string_view text) {
    for (const auto* yes : {"on", "yes", "true", "y"})
        if (text == yes) return true;
    for (const auto* no : {"off", "no", "false", "n"})
        if (text == no) return false;
    return std::nullopt;
}

std::optional<std::uint64_t> parse_unsigned(std::string_view text) {
    const bool hexadecimal = text.starts_with("0x");
    if (hexadecimal) text.remove_prefix(2);
    std::uint64_t value = 0;
    const auto end = text.data() + text.size();
    const auto [stop, failure] = std::from_chars(text.data(), end, value, hexadecimal ? 16 : 10);
    if (text.empty() || failure != std::errc{} || stop != end) return std::nullopt;
    return value;
}

std::optional<std::uint64_t> parse_size(std::string_view text) {
    constexpr std::string_view units = "KMGT";
    const auto unit = text.empty() ? std::string_view::npos : units.find(text.back());
    if (unit != std::string_view::npos) text.remove_suffix(1);
    const auto value = parse_unsigned(text);
    const auto shift =
        unit == std::string_view::npos ? 0U : 10U * (static_cast<unsigned>(unit) + 1);
    if (!value || (shift && *value > (~std::uint64_t{0} >> shift))) return std::nullopt;
    return *value << shift;
}

bool is_integer_type(std::string_view type) {
    return type.starts_with("uint") || type.starts_with("int");
}

/// addr is typed as a number in QEMU's list, and takes "06.0" all the same.
bool takes_text(std::string_view name) {
    return name == "addr";
}

std::optional<std::string> type_value(std::string_view type, const std::string& text) {
    if (type == "bool") {
        const auto value = parse_bool(text);
        return value ? std::optional<std::string>(*value ? "true" : "false") : std::nullopt;
    }
    if (is_integer_type(type) || type == "size") {
        if (is_integer_type(type) && !type.starts_with("uint") && text.starts_with('-')) {
            const auto value = parse_unsigned(std::string_view(text).substr(1));
            return value ? std::optional("-" + std::to_string(*value)) : std::nullopt;
        }
        const auto value = type == "size" ? parse_size(text) : parse_unsigned(text);
        return value ? std::optional(std::to_string(*value)) : std::nullopt;
    }
    return qapi::quote_json(text);
}

} // namespace

result<std::string> type_property(const device_model& model, const std::string& name,
                                  const std::string& text) {
    // Over a monitor that lists no properties QEMU itself judges them.
    if (model.properties.empty()) return qapi::quote_json(text);
    const auto* property = model.find(name);
    if (!property)
        return error{error_code::property_unknown,
                     name,
                     "the device model " + model.type + " of this QEMU has no property " + name,
                     {},
                     advice::none,
                     request_field::property};
    if (takes_text(name)) return qapi::quote_json(text);
    if (auto typed = type_value(property->type, text)) return std::move(*typed);
    return error{error_code::property_unknown,
                 name,
                 "\"" + text + "\" is no value of type " + property->type,
                 {},
                 advice::none,
                 request_field::property};
}

} // namespace vmplug
