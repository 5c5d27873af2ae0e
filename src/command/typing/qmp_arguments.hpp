#pragma once

#include <vmplug/error.hpp>

#include <nlohmann/json.hpp>

#include <functional>
#include <span>
#include <string>
#include <string_view>

namespace vmplug {

/// Gives the text of one argument its JSON value; `key` is dotted ("server.type").
using argument_typer =
    std::function<result<nlohmann::json>(const std::string& key, const std::string& text)>;

/// Whether brackets nest deeper than QEMU reads (1024), so that it would drop the connection.
bool nests_too_deep(std::string_view text);
error too_deep(const std::string& text);

/// JSON where it reads as JSON, else a string.
result<nlohmann::json> type_as_json(const std::string& key, const std::string& text);

/// The object that words like `driver=e1000e a.b=7` mean: a dot makes a nested object.
/// Errors: `invalid_argument` for a word of another form, and those of `typer`.
result<nlohmann::json> read_qmp_arguments(std::span<const std::string> words,
                                          const argument_typer& typer);

} // namespace vmplug
