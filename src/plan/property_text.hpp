#pragma once

#include <vmplug/guest_facts.hpp>

#include <string>

namespace vmplug {

/// Gives a property that a person wrote as text the type that QEMU's own list says it has: QEMU
/// since 9.2 refuses "on" for a bool.
///
/// Shape: returns JSON text: `true`, `7`, or a quoted string. Booleans are on/off, yes/no,
/// true/false; numbers are decimal or 0x hexadecimal; sizes may end in K, M, G or T.
/// Errors: `property_unknown` when the model has no such property or the text is no such value.
result<std::string> type_property(const device_model& model, const std::string& name,
                                  const std::string& text);

} // namespace vmplug
