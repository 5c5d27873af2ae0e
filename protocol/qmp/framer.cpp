#include "qmp/framer.hpp"

#include <algorithm>

namespace vmplug::qmp {
namespace {

bool is_space(char byte) {
    return byte == ' ' || byte == '\r' || byte == '\n' || byte == '\t';
}

error violation(error_code code, std::string text) {
    return {code, "QMP", std::move(text), {}};
}

} // namespace

/// Returns whether `byte` closes the object.
bool framer::scan(char byte) {
    if (in_string_) {
        if (escaped_)
            escaped_ = false;
        else if (byte == '\\')
            escaped_ = true;
        else if (byte == '"')
            in_string_ = false;
        return false;
    }
    if (byte == '"') in_string_ = true;
    if (byte == '{' || byte == '[' || byte == ',') ++values_;
    if (byte == '{' || byte == '[') ++depth_;
    // A bracket too many is caught here by its depth and by the parser by its kind.
    if ((byte == '}' || byte == ']') && depth_ > 0) return --depth_ == 0;
    return false;
}

result<std::optional<std::string>> framer::next() {
    if (scanned_ == 0) {
        const auto begin = std::ranges::find_if_not(buffer_, is_space);
        buffer_.erase(buffer_.begin(), begin);
        if (buffer_.empty()) return std::optional<std::string>();
        if (buffer_.front() != '{')
            return violation(error_code::protocol_violation,
                             "this is not a QMP monitor: it does not send JSON objects");
    }
    while (scanned_ < buffer_.size()) {
        const bool closed = scan(buffer_[scanned_++]);
        if (depth_ > bounds_.depth_max)
            return violation(error_code::limit_exceeded, "a message is nested too deeply");
        if (scanned_ > bounds_.message_bytes_max)
            return violation(error_code::limit_exceeded, "a message is too long");
        if (values_ > bounds_.values_max)
            return violation(error_code::limit_exceeded, "a message has too many values");
        if (!closed) continue;
        auto message = buffer_.substr(0, scanned_);
        buffer_.erase(0, scanned_);
        scanned_ = 0;
        values_ = 0;
        return std::optional(std::move(message));
    }
    return std::optional<std::string>();
}

} // namespace vmplug::qmp
