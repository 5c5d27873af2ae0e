#include "command/table/invocation.hpp"

namespace vmplug {

void invocation::add(const std::string& name, typed_value value) {
    values_[name].push_back(std::move(value));
}

const std::vector<typed_value>& invocation::all(const std::string& name) const {
    static const std::vector<typed_value> nothing;
    const auto found = values_.find(name);
    return found == values_.end() ? nothing : found->second;
}

std::string invocation::text(const std::string& name) const {
    const auto& given = all(name);
    return given.empty() ? std::string() : std::get<std::string>(given.front());
}

std::vector<std::string> invocation::texts(const std::string& name) const {
    std::vector<std::string> texts;
    for (const auto& each : all(name))
        texts.push_back(std::get<std::string>(each));
    return texts;
}

std::map<std::string, std::string> invocation::properties(const std::string& name) const {
    std::map<std::string, std::string> properties;
    for (const auto& each : all(name)) {
        const auto& [property, value] = std::get<std::pair<std::string, std::string>>(each);
        properties[property] = value; // the last one counts
    }
    return properties;
}

std::optional<std::chrono::milliseconds> invocation::duration(const std::string& name) const {
    const auto& given = all(name);
    if (given.empty()) return std::nullopt;
    return std::get<std::chrono::milliseconds>(given.front());
}

std::optional<std::int64_t> invocation::number(const std::string& name) const {
    const auto& given = all(name);
    if (given.empty()) return std::nullopt;
    return std::get<std::int64_t>(given.front());
}

} // namespace vmplug
