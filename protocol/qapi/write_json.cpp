#include "qapi/write_json.hpp"

namespace vmplug::qapi {

std::string quote_json(std::string_view text) {
    constexpr char digits[] = "0123456789abcdef";
    std::string quoted = "\"";
    for (const char c : text) {
        const auto byte = static_cast<unsigned char>(c);
        if (c == '"' || c == '\\')
            quoted.append({'\\', c});
        else if (byte < 0x20 || byte == 0x7f)
            quoted.append("\\u00").append({digits[byte >> 4], digits[byte & 15]});
        else
            quoted += c;
    }
    return quoted + "\"";
}

object_text& object_text::add(std::string_view name, std::string_view text) {
    return add_json(name, quote_json(text));
}

object_text& object_text::add_json(std::string_view name, std::string_view json) {
    if (!members_.empty()) members_ += ',';
    members_.append(quote_json(name)).append(":").append(json);
    return *this;
}

} // namespace vmplug::qapi
