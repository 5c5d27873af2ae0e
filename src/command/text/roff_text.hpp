#pragma once

#include <string>
#include <string_view>

namespace vmplug {

/// Makes text stand for itself in a manual page: no escape, no request, and hyphens and quotes that
/// can be copied into a shell.
///
/// Shape: may be used in a line, as a line, and inside a quoted argument of a macro.
/// Source: groff_char(7), "Portability" in man(7) of mandoc.
std::string escape_roff(std::string_view text);

/// The same for a sentence: what stands between `backticks` is bold, as a command is.
std::string format_roff_prose(std::string_view text);

/// Escaped text in bold or italics.
std::string roff_bold(std::string_view text);
std::string roff_italic(std::string_view text);

} // namespace vmplug
