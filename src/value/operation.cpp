#include <vmplug/operation.hpp>

#include <array>

namespace vmplug {
namespace {

constexpr std::array<std::string_view, 4> operation_kinds{"attach", "detach", "bind", "release"};
constexpr std::array<std::string_view, 3> operation_states{"applying", "reverting", "closed"};
constexpr std::array<std::string_view, 4> step_states{"planned", "begun", "applied", "reverted"};

} // namespace

std::string_view kind_name(operation_kind value) {
    return operation_kinds[static_cast<std::size_t>(value)];
}

std::optional<operation_kind> parse_operation_kind(std::string_view name) {
    for (std::size_t i = 0; i < operation_kinds.size(); ++i)
        if (operation_kinds[i] == name) return static_cast<operation_kind>(i);
    return std::nullopt;
}

std::string_view state_name(operation_state value) {
    return operation_states[static_cast<std::size_t>(value)];
}

std::string_view state_name(step_state value) {
    return step_states[static_cast<std::size_t>(value)];
}

} // namespace vmplug
