#include "command/typing/qmp_typing.hpp"

#include "command/typing/qmp_arguments.hpp"
#include "monitor/typed_call.hpp"
#include "plan/property_text.hpp"
#include "qapi/qdev.hpp"

#include <array>
#include <map>
#include <memory>

namespace vmplug {
namespace {

using boost::asio::awaitable;
using nlohmann::json;

result<json> typed(json value) {
    return {boost::system::in_place_value, std::move(value)};
}

/// A JSON string in its quotes is one whatever the schema says.
bool is_quoted(const std::string& text) {
    return text.starts_with('"') && json::parse(text, nullptr, false).is_string();
}

/// Whether a text may be meant as something else than a string.
bool is_ambiguous(const std::string& text) {
    constexpr std::array words{"on", "off", "yes", "no"};
    if (std::ranges::find(words, text) != words.end()) return true;
    const auto value = json::parse(text, nullptr, false);
    return !value.is_discarded() && !value.is_string();
}

/// What device_add takes itself; all else is the device's.
bool is_of_device_add(const std::string& key) {
    return key == "driver" || key == "id" || key == "bus";
}

class typing {
public:
    typing(type_source source, std::string command, const std::vector<std::string>& words)
        : source_(std::move(source)), command_(std::move(command)) {
        for (const auto& word : words)
            if (const auto equals = word.find('='); equals != word.npos)
                given_.emplace(word.substr(0, equals), word.substr(equals + 1));
    }

    awaitable<result<json>> type(std::string key, std::string text) {
        if (nests_too_deep(text)) co_return too_deep(text);
        if (!source_.thorough && is_quoted(text)) co_return typed(json::parse(text));
        if (command_ == "device_add" && is_of_device_add(key)) co_return typed(text);
        if (!source_.thorough && !is_ambiguous(text)) co_return typed(text);
        if (command_ == "device_add") {
            auto driver = given_["driver"];
            const auto* model = co_await source_.model(std::move(driver));
            if (model && model->find(key)) co_return as_property(*model, key, text);
        }
        const auto schema = co_await source_.schema();
        if (schema.has_error()) co_return schema.error();
        co_return (*schema)->type_value(command_, key, text, given_);
    }

private:
    static result<json> as_property(const device_model& model, const std::string& key,
                                    const std::string& text) {
        auto value = type_property(model, key, text);
        if (value.has_error()) {
            auto failure = value.error();
            failure.where = key;
            failure.about = request_field::none;
            failure.remedy = "`vmplug qmp VM device-list-properties typename=" + model.type +
                             "` lists what there is";
            return failure;
        }
        return typed(json::parse(*value));
    }

    type_source source_;
    std::string command_;
    std::map<std::string, std::string> given_;
};

/// What one connection was asked, kept for the length of a command.
struct asked_types {
    monitor& connection;
    std::chrono::milliseconds deadline;
    std::unique_ptr<qmp_schema> schema = nullptr;
    std::map<std::string, device_model> models = {};

    awaitable<result<const qmp_schema*>> ask_schema() {
        if (schema) co_return schema.get();
        typed_call asked(connection, qapi::query_qmp_schema());
        auto made = make_schema(co_await asked.wait(deadline));
        if (made.has_error()) co_return made.error();
        schema = std::make_unique<qmp_schema>(std::move(*made));
        co_return schema.get();
    }

    awaitable<const device_model*> ask_model(std::string type) {
        if (const auto known = models.find(type); known != models.end()) co_return &known->second;
        const qapi::device_list_properties command{type};
        typed_call asked(connection, command);
        auto reply = co_await asked.wait(deadline);
        if (reply.has_error()) co_return nullptr;
        co_return &models.emplace(type, make_device_model(type, std::move(*reply))).first->second;
    }
};

} // namespace

awaitable<result<json>> type_arguments(type_source source, std::string command,
                                       std::vector<std::string> words) {
    // The form first: nothing is asked for what is bad usage.
    const auto as_text = [](const std::string&, const std::string& text) { return typed(text); };
    const auto form = read_qmp_arguments(words, as_text);
    if (form.has_error()) co_return form.error();
    typing each(std::move(source), std::move(command), words);
    std::map<std::string, json> values;
    for (const auto& word : words) {
        const auto equals = word.find('=');
        auto value = co_await each.type(word.substr(0, equals), word.substr(equals + 1));
        if (value.has_error()) co_return value.error();
        values[word.substr(0, equals)] = std::move(*value);
    }
    const auto look_up = [&](const std::string& key, const std::string&) {
        return typed(values[key]);
    };
    co_return read_qmp_arguments(words, look_up);
}

type_source ask_types(monitor& connection, std::chrono::milliseconds deadline) {
    const std::shared_ptr<asked_types> asked(new asked_types{connection, deadline});
    type_source source;
    source.schema = [asked] { return asked->ask_schema(); };
    source.model = [asked](std::string type) { return asked->ask_model(std::move(type)); };
    return source;
}

device_model make_device_model(std::string type, std::vector<qapi::object_property> properties) {
    device_model model{std::move(type), {}};
    for (auto& each : properties)
        model.properties.push_back(
            {std::move(each.name), std::move(each.type), std::move(each.default_value)});
    return model;
}

result<qmp_schema> make_schema(result<std::vector<qapi::schema_entity>> answer) {
    if (answer.has_value()) return qmp_schema(std::move(*answer));
    if (answer.error().code == error_code::command_failed) return qmp_schema();
    return answer.error();
}

} // namespace vmplug
