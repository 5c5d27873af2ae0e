#include "qapi/machine.hpp"

#include "qapi/read_json.hpp"
#include "qapi/refusal.hpp"

#include <algorithm>

namespace vmplug::qapi {
namespace {

using nlohmann::json;

/// A text that need not be there, but is one if it is.
result<std::optional<std::string>> optional_text(std::string_view command, const json& answer,
                                                 std::string_view key) {
    auto text = text_at(answer, key);
    if (!answer.is_object() || (!text && member(answer, key))) return malformed(command);
    return text;
}

std::uint64_t size_of(std::int64_t bytes) {
    return static_cast<std::uint64_t>(std::max<std::int64_t>(bytes, 0));
}

} // namespace

result<query_name::reply> query_name::parse(const json& answer) {
    return optional_text(name, answer, "name");
}

result<query_status::reply> query_status::parse(const json& answer) {
    auto status = optional_text(name, answer, "status");
    const auto running = bool_at(answer, "running");
    if (status.has_error() || !running) return malformed(name);
    return run_status{status->value_or(""), *running};
}

result<query_migrate::reply> query_migrate::parse(const json& answer) {
    return optional_text(name, answer, "status");
}

result<query_memory_size_summary::reply> query_memory_size_summary::parse(const json& answer) {
    const auto base = integer_at(answer, "base-memory");
    const auto plugged = integer_at(answer, "plugged-memory");
    if (!base || (!plugged && member(answer, "plugged-memory"))) return malformed(name);
    return memory_size{size_of(*base), size_of(plugged.value_or(0))};
}

} // namespace vmplug::qapi
