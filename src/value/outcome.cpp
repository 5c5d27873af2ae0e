#include <vmplug/outcome.hpp>

#include <array>

namespace vmplug {
namespace {

struct row {
    outcome value;
    std::string_view name;
    int exit_code;
};

constexpr std::array rows{
    row{outcome::done, "done", 0},
    row{outcome::refused, "refused", 3},
    row{outcome::rolled_back, "rolled_back", 4},
    row{outcome::unplug_pending, "unplug_pending", 5},
    row{outcome::unknown, "unknown", 6},
    row{outcome::stuck, "stuck", 7},
};

} // namespace

std::string_view outcome_name(outcome value) {
    return rows[static_cast<std::size_t>(value)].name;
}

std::optional<outcome> parse_outcome(std::string_view name) {
    for (const auto& row : rows)
        if (row.name == name) return row.value;
    return std::nullopt;
}

int exit_code(outcome value) {
    return rows[static_cast<std::size_t>(value)].exit_code;
}

} // namespace vmplug
