#pragma once

#include <cstddef>
#include <string_view>

namespace vmplug {

/// What a text begins with.
struct code_point {
    char32_t value = 0;
    std::size_t length = 1; ///< bytes; 1 for a byte that begins no UTF-8 sequence
    bool valid = false;
};

/// Shape: `text` is not empty. Overlong forms, surrogates and what lies above U+10FFFF are not
/// valid, as in RFC 3629.
code_point first_code_point(std::string_view text);

/// Characters that act, or hide, instead of showing: controls (C0, DEL, C1), line and paragraph
/// separators, format characters such as direction marks and tags, whatever a terminal shows as
/// nothing, and the code points that are no characters.
///
/// Source: Unicode 15, categories Cc, Cf, Zl, Zp, property Default_Ignorable_Code_Point, and the
/// noncharacters.
bool acts(char32_t value);

/// Columns on a terminal, 0 for a combining mark, 2 for a wide character. Characters that the C
/// library does not know count as one.
std::size_t columns_of(char32_t value);

} // namespace vmplug
