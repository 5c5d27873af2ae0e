#include "command/table/parse_values.hpp"

#include "command/table/check_values.hpp"
#include "command/table/duration.hpp"

#include <algorithm>
#include <charconv>
#include <limits>

namespace vmplug {
namespace {

constexpr std::size_t shown_max = 100;

/// What arguments and options have in common.
struct value_row {
    std::string name;
    std::string field;
    value_kind kind;
    bool required = false;
    bool repeated = false;
    std::string form; ///< "DRIVER", "PROP=VALUE"
    std::string_view choices = {};
    number_range range = {};
};

std::vector<value_row> rows_of(const verb& row) {
    std::vector<value_row> rows;
    for (const auto& each : row.arguments)
        rows.push_back({each.name,
                        field_name(each),
                        each.kind,
                        each.required,
                        each.repeated,
                        each.name,
                        {},
                        each.range});
    const auto add = [&](const verb_option& each) {
        rows.push_back({long_name(each), field_name(each), each.kind, false, each.repeated,
                        each.value ? each.value : "", each.choices, each.range});
    };
    std::ranges::for_each(row.options, add);
    std::ranges::for_each(common_options(), add);
    return rows;
}

std::string to_lower(std::string_view text) {
    std::string lower(text);
    std::ranges::transform(lower, lower.begin(), [](char c) {
        return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
    });
    return lower;
}

/// "auto, vfio-pci or pci-assign".
std::string list_choices(std::string_view choices) {
    std::string text;
    while (!choices.empty()) {
        const auto end = std::min(choices.find('|'), choices.size());
        const bool last = end == choices.size();
        if (!text.empty()) text += last ? " or " : ", ";
        text += choices.substr(0, end);
        choices.remove_prefix(last ? end : end + 1);
    }
    return text;
}

bool is_choice(std::string_view choices, std::string_view text) {
    for (;;) {
        const auto end = std::min(choices.find('|'), choices.size());
        if (choices.substr(0, end) == text) return true;
        if (end == choices.size()) return false;
        choices.remove_prefix(end + 1);
    }
}

error at(std::string where, error fault) {
    fault.where = std::move(where);
    return fault;
}

error malformed(std::string text, std::string remedy) {
    return {error_code::invalid_argument, {}, std::move(text), std::move(remedy)};
}

result<typed_value> parse_choice(const value_row& row, const std::string& text) {
    if (is_choice(row.choices, text)) return typed_value(text);
    return malformed("there is no such " + to_lower(row.form),
                     "write " + list_choices(row.choices));
}

result<typed_value> parse_number(const value_row& row, const std::string& text) {
    std::int64_t number = 0;
    const auto end = text.data() + text.size();
    const auto [stop, failure] = std::from_chars(text.data(), end, number);
    const bool read = failure == std::errc() && stop == end;
    if (read && number >= row.range.least && number <= row.range.most) return typed_value(number);
    const bool bounded = row.range.most != std::numeric_limits<std::int64_t>::max();
    return malformed("this is no such number",
                     "write a whole number, " + std::to_string(row.range.least) +
                         (bounded ? " to " + std::to_string(row.range.most) : " or more"));
}

result<typed_value> parse_property(const value_row& row, const std::string& text) {
    const auto equals = text.find('=');
    if (equals == 0 || equals == text.npos) return malformed("this is not " + row.form, {});
    return typed_value(std::pair(text.substr(0, equals), text.substr(equals + 1)));
}

result<typed_value> parse_value(const value_row& row, const std::string& text) {
    switch (row.kind) {
    case value_kind::duration: {
        const auto duration = parse_duration(text);
        if (duration.has_error()) return duration.error();
        return typed_value(*duration);
    }
    case value_kind::number:
        return parse_number(row, text);
    case value_kind::choice:
        return parse_choice(row, text);
    case value_kind::property:
        return parse_property(row, text);
    default:
        return typed_value(text);
    }
}

/// What is wrong whatever the values are.
std::optional<error> find_fault(const value_row& row, const std::string& name,
                                const std::vector<std::string>& values) {
    if (row.required && values.empty())
        return error{error_code::invalid_argument, name, "it is missing", {}};
    if (!row.repeated && values.size() > 1)
        return error{error_code::invalid_argument, name, "it is given twice", {}};
    return find_fault(name, row.kind, values);
}

} // namespace

std::string written_values::first(const std::string& name) const {
    const auto found = by_name.find(name);
    return found == by_name.end() || found->second.empty() ? std::string() : found->second.front();
}

std::string field_name(const verb_argument& argument) {
    return argument.field ? argument.field : to_lower(argument.name);
}

std::string field_name(const verb_option& option) {
    auto name = long_name(option);
    name.erase(0, name.find_first_not_of('-'));
    std::ranges::replace(name, '-', '_');
    return name;
}

result<invocation> parse_values(const verb& row, const written_values& written, spelling told) {
    invocation asked;
    for (const auto& each : rows_of(row)) {
        const auto& name = told == spelling::of_object ? each.field : each.name;
        const auto found = written.by_name.find(each.name);
        const bool given = found != written.by_name.end();
        const auto values = given ? found->second : std::vector<std::string>();
        if (auto fault = find_fault(each, name, values)) return std::move(*fault);
        if (given && each.kind == value_kind::none) asked.add_flag(each.name);
        for (const auto& text : values) {
            auto value = parse_value(each, text);
            if (value.has_error()) return at(name + " " + text.substr(0, shown_max), value.error());
            asked.add(each.name, std::move(*value));
        }
    }
    return asked;
}

} // namespace vmplug
