#pragma once

#include <cstddef>
#include <string>

namespace vmplug::hmp {

/// Draws what a terminal would show of one line: QEMU plays each typed byte back with cursor
/// movements. Never holds more than `length_max` bytes.
class line_editor {
public:
    static constexpr std::size_t length_max = 8192;

    /// Takes one byte that is no newline.
    void put(char byte);
    void clear();

    const std::string& text() const { return text_; }

private:
    enum class escape { none, begun, sequence };

    void finish_sequence(char command);

    std::string text_;
    std::size_t cursor_ = 0;
    std::size_t count_ = 0;
    escape escape_ = escape::none;
};

} // namespace vmplug::hmp
