#pragma once

#include <vmplug/operation.hpp>

namespace vmplug {

/// Whether an operation's subject belongs to the guest that a person calls `text`.
inline bool is_of_guest(const fields& subject, const std::string& text) {
    return field(subject, "guest") == text || field(subject, "guest_pid") == text ||
           field(subject, "monitor").ends_with(text);
}

} // namespace vmplug
