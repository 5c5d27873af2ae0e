#include "command/typing/qmp_arguments.hpp"

namespace vmplug {
namespace {

using nlohmann::json;

constexpr std::size_t nesting_max = 16;
constexpr std::size_t shown_max = 100;

error bad_argument(const std::string& text, const char* why) {
    return {error_code::invalid_argument, text.substr(0, shown_max), why, {}};
}

/// The place of the dotted key, made where it is missing; nullptr when a value is in the way.
json* find_place(json& arguments, const std::string& key) {
    auto* place = &arguments;
    std::size_t begin = 0;
    for (std::size_t depth = 0; depth <= nesting_max; ++depth) {
        const auto end = key.find('.', begin);
        const auto part = key.substr(begin, end - begin);
        if (part.empty() || (!place->is_null() && !place->is_object())) return nullptr;
        place = &(*place)[part];
        if (end == key.npos) return place;
        begin = end + 1;
    }
    return nullptr;
}

} // namespace

bool nests_too_deep(std::string_view text) {
    constexpr int depth_max = 1000;
    int depth = 0;
    bool quoted = false;
    for (std::size_t i = 0; i < text.size() && depth <= depth_max; ++i) {
        const char c = text[i];
        if (quoted && c == '\\') ++i;
        if (c == '"') quoted = !quoted;
        if (quoted) continue;
        depth += c == '[' || c == '{' ? 1 : c == ']' || c == '}' ? -1 : 0;
    }
    return depth > depth_max;
}

error too_deep(const std::string& text) {
    return bad_argument(text, "this nests deeper than QEMU reads");
}

result<json> type_as_json(const std::string&, const std::string& text) {
    if (nests_too_deep(text)) return too_deep(text);
    auto value = json::parse(text, nullptr, false);
    if (value.is_discarded()) value = text;
    return {boost::system::in_place_value, std::move(value)};
}

result<json> read_qmp_arguments(std::span<const std::string> words, const argument_typer& typer) {
    auto arguments = json::object();
    for (const auto& word : words) {
        const auto equals = word.find('=');
        if (equals == word.npos || equals == 0) return bad_argument(word, "this is not KEY=VALUE");
        const auto key = word.substr(0, equals);
        auto value = typer(key, word.substr(equals + 1));
        if (value.has_error()) return value.error();
        auto* place = find_place(arguments, key);
        if (!place) return bad_argument(key, "this is no name of an argument");
        *place = std::move(*value);
    }
    return {boost::system::in_place_value, std::move(arguments)};
}

} // namespace vmplug
