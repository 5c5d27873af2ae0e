#include "command/handle/command_result.hpp"

#include "command/render/json_text.hpp"

#include <vmplug/outcome.hpp>

namespace vmplug {

using nlohmann::json;

command_result failed(const error& failure) {
    const bool open =
        failure.code == error_code::timed_out || failure.code == error_code::connection_lost;
    const auto verdict = open ? outcome::unknown : outcome::refused;
    command_result result;
    result.value = {{"outcome", outcome_name(verdict)}, {"error", to_json(failure)}};
    result.exit_code = exit_code(verdict);
    return result;
}

command_result misused(const error& failure) {
    command_result result;
    result.value = {{"outcome", "usage"}, {"error", to_json(failure)}};
    result.exit_code = 2;
    return result;
}

command_result succeeded(json value) {
    command_result result;
    result.value = std::move(value);
    result.value["outcome"] = "done";
    return result;
}

} // namespace vmplug
