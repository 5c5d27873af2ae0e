#include "command/text/code_point.hpp"

#include <algorithm>

#include <locale.h>
#include <wchar.h>

namespace vmplug {
namespace {

struct span_of_values {
    char32_t first, last;
};

constexpr span_of_values acting[] = {
    {0x0, 0x1f},        {0x7f, 0x9f},       {0xad, 0xad},       {0x34f, 0x34f},
    {0x600, 0x605},     {0x61c, 0x61c},     {0x6dd, 0x6dd},     {0x70f, 0x70f},
    {0x890, 0x891},     {0x8e2, 0x8e2},     {0x115f, 0x1160},   {0x17b4, 0x17b5},
    {0x180b, 0x180f},   {0x200b, 0x200f},   {0x2028, 0x202e},   {0x2060, 0x206f},
    {0x3164, 0x3164},   {0xfdd0, 0xfdef},   {0xfe00, 0xfe0f},   {0xfeff, 0xfeff},
    {0xffa0, 0xffa0},   {0xfff0, 0xfffb},   {0x110bd, 0x110bd}, {0x110cd, 0x110cd},
    {0x13430, 0x1343f}, {0x1bca0, 0x1bca3}, {0x1d173, 0x1d17a}, {0xe0000, 0xe0fff},
};

/// The C library's tables, whatever locale the program is in.
locale_t unicode_locale() {
    static const locale_t found = ::newlocale(LC_CTYPE_MASK, "C.UTF-8", nullptr);
    return found;
}

} // namespace

code_point first_code_point(std::string_view text) {
    const auto lead = static_cast<unsigned char>(text.front());
    if (lead < 0x80) return {lead, 1, true};
    const std::size_t length = lead < 0xc2   ? 0
                               : lead < 0xe0 ? 2
                               : lead < 0xf0 ? 3
                               : lead < 0xf5 ? 4
                                             : 0;
    if (length == 0 || length > text.size()) return {};
    constexpr unsigned lead_mask[] = {0, 0, 0x1f, 0x0f, 0x07};
    constexpr char32_t smallest[] = {0, 0, 0x80, 0x800, 0x10000};
    char32_t value = lead & lead_mask[length];
    for (std::size_t i = 1; i < length; ++i) {
        const auto byte = static_cast<unsigned char>(text[i]);
        if ((byte & 0xc0) != 0x80) return {};
        value = (value << 6) | (byte & 0x3fU);
    }
    const bool surrogate = value >= 0xd800 && value < 0xe000;
    if (value < smallest[length] || value > 0x10ffff || surrogate) return {};
    return {value, length, true};
}

bool acts(char32_t value) {
    if ((value & 0xfffe) == 0xfffe) return true; // the last two of each plane
    const auto after = std::ranges::upper_bound(acting, value, {}, &span_of_values::first);
    return after != std::begin(acting) && value <= std::prev(after)->last;
}

std::size_t columns_of(char32_t value) {
    if (value < 0x80 || !unicode_locale()) return 1;
    const auto before = ::uselocale(unicode_locale());
    const int columns = ::wcwidth(static_cast<wchar_t>(value));
    ::uselocale(before);
    return columns < 0 ? 1 : static_cast<std::size_t>(columns);
}

} // namespace vmplug
