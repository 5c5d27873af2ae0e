#include "repl/completion_words.hpp"

#include "command/verb.hpp"
#include "repl/input_line.hpp"

#include <algorithm>

namespace vmplug {
namespace {

using boost::asio::awaitable;

/// The value that the line gives `key`, empty when it gives none.
std::string given(const std::vector<std::string>& words, const std::string& key) {
    for (const auto& word : words)
        if (word.starts_with(key + "=")) return word.substr(key.size() + 1);
    return {};
}

std::vector<std::string> with_prefix(std::vector<std::string> values, const std::string& prefix) {
    for (auto& each : values)
        each.insert(0, prefix);
    return values;
}

awaitable<std::vector<std::string>> argument_names(guest_connection& guest, std::string command,
                                                   std::vector<std::string> words,
                                                   std::string below) {
    std::vector<std::string> names;
    const auto prefix = below.empty() ? std::string() : below + ".";
    const auto* schema = co_await guest.schema();
    for (const auto& each : schema->members(command, below))
        names.push_back(prefix + each.name + (each.type == "object" ? "." : "="));
    if (command == "device_add" && below.empty()) {
        auto type = given(words, "driver");
        const auto* model = co_await guest.model(std::move(type));
        if (model)
            for (const auto& each : model->properties)
                names.push_back(each.name + "=");
    }
    std::erase_if(names, [&](const std::string& name) {
        return !given(words, name.substr(0, name.size() - 1)).empty();
    });
    co_return names;
}

awaitable<std::vector<std::string>> argument_values(guest_connection& guest, std::string command,
                                                    std::vector<std::string> words,
                                                    std::string key) {
    if (command == "device_add" && key == "driver") {
        const auto* all = co_await guest.models();
        co_return *all;
    }
    // The bus of a port is called like the port.
    const bool names_device =
        (command == "device_del" && key == "id") || (command == "device_add" && key == "bus");
    if (names_device) co_return co_await guest.device_ids();
    const auto* schema = co_await guest.schema();
    const auto dot = key.rfind('.');
    const auto below = dot == key.npos ? std::string() : key.substr(0, dot);
    for (const auto& each : schema->members(command, below)) {
        if (key.substr(dot == key.npos ? 0 : dot + 1) != each.name) continue;
        if (each.type == "bool") co_return std::vector<std::string>{"true", "false"};
        co_return each.values;
    }
    const device_model* model = nullptr;
    if (command == "device_add") {
        auto type = given(words, "driver");
        model = co_await guest.model(std::move(type));
    }
    const auto* property = model ? model->find(key) : nullptr;
    if (property && property->type == "bool") co_return std::vector<std::string>{"on", "off"};
    co_return std::vector<std::string>();
}

std::vector<std::string> first_words() {
    std::vector<std::string> words{"use", "help", "close", "quit"};
    for (const auto& row : verbs())
        words.emplace_back(row.name);
    return words;
}

} // namespace

awaitable<std::vector<std::string>> complete_qmp(guest_connection* guest, std::string before) {
    auto split = split_words(before);
    if (split.has_error()) co_return std::vector<std::string>();
    auto words = std::move(*split);
    const bool begins_word = before.empty() || before.back() == ' ';
    if (begins_word) words.emplace_back();
    if (words.size() == 1) {
        auto found = first_words();
        const qmp_schema* schema = nullptr;
        if (guest) schema = co_await guest->schema();
        if (schema)
            for (auto& name : schema->commands())
                found.push_back(std::move(name));
        co_return found;
    }
    if (!guest) co_return std::vector<std::string>();
    auto command = words.front();
    const auto word = words.back();
    const auto equals = word.find('=');
    if (equals == word.npos) {
        const auto dot = word.rfind('.');
        auto below = dot == word.npos ? std::string() : word.substr(0, dot);
        co_return co_await argument_names(*guest, std::move(command), std::move(words),
                                          std::move(below));
    }
    auto key = word.substr(0, equals);
    const auto prefix = key + "=";
    auto values =
        co_await argument_values(*guest, std::move(command), std::move(words), std::move(key));
    co_return with_prefix(std::move(values), prefix);
}

} // namespace vmplug
