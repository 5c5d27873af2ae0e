#include "repl/completion_words.hpp"

#include "command/complete/completion.hpp"
#include "repl/input_line.hpp"
#include "repl/verb_words.hpp"

#include <algorithm>
#include <iterator>

namespace vmplug {
namespace {

using boost::asio::awaitable;
using candidates = std::vector<candidate>;

/// The value that the line gives `key`, empty when it gives none.
std::string given(const std::vector<std::string>& words, const std::string& key) {
    for (const auto& word : words)
        if (word.starts_with(key + "=")) return word.substr(key.size() + 1);
    return {};
}

candidates to_candidates(const std::vector<std::string>& words) {
    candidates found;
    for (const auto& each : words)
        found.push_back({each, {}});
    return found;
}

std::string describe(const qmp_schema::member& member) {
    auto text = member.type;
    if (!member.values.empty()) text.clear();
    for (const auto& value : member.values)
        text += (text.empty() ? "" : "|") + value;
    return text + (member.optional ? ", optional" : "");
}

std::string describe(const device_model::property& property) {
    if (property.default_value.empty()) return property.type;
    return property.type + ", default " + property.default_value;
}

awaitable<candidates> argument_names(guest_connection& guest, std::string command,
                                     std::vector<std::string> words, std::string below) {
    candidates names;
    const auto prefix = below.empty() ? std::string() : below + ".";
    const auto* schema = co_await guest.known_schema();
    for (const auto& each : schema->members(command, below))
        names.push_back({prefix + each.name + (each.type == "object" ? "." : "="), describe(each)});
    if (command == "device_add" && below.empty()) {
        auto type = given(words, "driver");
        const auto* model = co_await guest.model(std::move(type));
        if (model)
            for (const auto& each : model->properties)
                names.push_back({each.name + "=", describe(each)});
    }
    std::erase_if(names, [&](const candidate& each) {
        return !given(words, each.text.substr(0, each.text.size() - 1)).empty();
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
    const auto* schema = co_await guest.known_schema();
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

awaitable<candidates> complete_first(guest_connection* guest) {
    candidates found{{"use", "open a guest, and mean it from now on"},
                     {"help", "what can be written, or one command's arguments"},
                     {"close", "close the guest"},
                     {"quit", "leave"}};
    for (const auto& row : verbs())
        found.push_back({row.name, row.summary});
    const qmp_schema* schema = nullptr;
    if (guest) schema = co_await guest->known_schema();
    if (schema)
        for (auto& name : schema->commands())
            found.push_back({std::move(name), {}});
    co_return found;
}

/// `!info p` and `hmp info p`: the human monitor's commands, and those below `info`.
awaitable<candidates> complete_hmp(guest_connection& guest, std::vector<std::string> words) {
    std::string mark;
    if (words.front().starts_with('!')) {
        mark = "!";
        words.front().erase(0, 1);
    } else {
        words.erase(words.begin());
    }
    if (words.size() > 2) co_return candidates();
    auto below = words.size() == 2 ? words.front() : std::string();
    if (words.size() == 2) mark.clear();
    auto found = co_await guest.hmp_commands(std::move(below));
    for (auto& each : found)
        each.text.insert(0, mark);
    co_return found;
}

/// What the table expects there, with the guest in use put in and without it: `attach 01` may
/// become either a guest or a device. What is no plain word of a command line is left out.
awaitable<candidates> complete_verb(const controller& control, guest_connection* guest,
                                    std::vector<std::string> words) {
    auto found = co_await complete(control, find_completion_point(words));
    if (guest && begins_with_guest(*find_verb(words.front()))) {
        words.insert(words.begin() + 1, guest->name());
        auto more = co_await complete(control, find_completion_point(words));
        std::ranges::move(more, std::back_inserter(found));
    }
    std::erase_if(
        found, [](const candidate& each) { return !each.is_option && !is_plain_word(each.text); });
    co_return found;
}

/// `host=`: the host's functions, by the table's own completion.
awaitable<candidates> complete_host(const controller& control) {
    std::vector<std::string> words;
    words.emplace_back("bind");
    words.emplace_back();
    auto found = co_await complete(control, find_completion_point(words));
    std::erase_if(found, [](const candidate& each) {
        return !parse_host_address(each.text).has_value(); // nor their netdevs
    });
    for (auto& each : found)
        each.text.insert(0, "host=");
    co_return found;
}

awaitable<candidates> complete_qmp(const controller& control, guest_connection& guest,
                                   std::vector<std::string> words) {
    auto command = words.front();
    const auto word = words.back();
    const auto equals = word.find('=');
    if (equals == word.npos) {
        const auto dot = word.rfind('.');
        auto below = dot == word.npos ? std::string() : word.substr(0, dot);
        co_return co_await argument_names(guest, std::move(command), std::move(words),
                                          std::move(below));
    }
    auto key = word.substr(0, equals);
    if (command == "device_add" && key == "host") co_return co_await complete_host(control);
    const auto prefix = key + "=";
    auto values =
        co_await argument_values(guest, std::move(command), std::move(words), std::move(key));
    for (auto& each : values)
        each.insert(0, prefix);
    co_return to_candidates(values);
}

} // namespace

awaitable<candidates> complete_line(const controller& control, guest_connection* guest,
                                    std::string before) {
    auto split = split_words(before);
    if (split.has_error()) co_return candidates();
    auto words = std::move(*split);
    const bool begins_word = before.empty() || before.back() == ' ' || before.back() == '\t';
    if (begins_word || words.empty()) words.emplace_back();
    const bool is_hmp = words.front().starts_with('!') || words.front() == "hmp";
    if (guest && is_hmp && words.back() != "hmp")
        co_return co_await complete_hmp(*guest, std::move(words));
    if (words.size() == 1) co_return co_await complete_first(guest);
    if (words.front() == "help" && words.size() == 2) co_return co_await complete_first(guest);
    // `ports` takes a guest as `use` does.
    if (words.front() == "use") words.front() = "ports";
    if (find_verb(words.front()))
        co_return co_await complete_verb(control, guest, std::move(words));
    if (!guest) co_return candidates();
    co_return co_await complete_qmp(control, *guest, std::move(words));
}

} // namespace vmplug
