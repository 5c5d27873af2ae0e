#pragma once

#include <string>
#include <string_view>

namespace vmplug {

/// The manual page vmplug(1), made from the table of verbs.
/// Source: man-pages(7) for the order of the sections, man(7) for the macros.
std::string man_page(std::string_view version);

} // namespace vmplug
