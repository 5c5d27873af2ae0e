#pragma once

#include <string>
#include <string_view>

namespace vmplug::qapi {

/// A JSON string with everything escaped that must be.
std::string quote_json(std::string_view text);

/// An object's text, without white space: members in the order in which they are added.
class object_text {
public:
    object_text& add(std::string_view name, std::string_view text);
    /// `json` is a value's text.
    object_text& add_json(std::string_view name, std::string_view json);
    std::string text() const { return members_.empty() ? "{}" : "{" + members_ + "}"; }

private:
    std::string members_;
};

} // namespace vmplug::qapi
