#pragma once

#include <vmplug/error.hpp>

#include <string>
#include <string_view>

namespace vmplug::qapi {

/// The answer to `command` has not the form that QEMU documents.
inline error malformed(std::string_view command) {
    return {error_code::protocol_violation,
            std::string(command),
            "the answer has not the form that QEMU gives it",
            {}};
}

inline error too_long(std::string_view command) {
    return {error_code::limit_exceeded, std::string(command), "the answer lists too much", {}};
}

} // namespace vmplug::qapi
