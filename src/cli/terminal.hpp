#pragma once

#include <string>

namespace vmplug {

/// The terminal's width in columns; 0 when stdout is none, so nothing is cut.
std::size_t terminal_width();

/// The line that says what a running operation waits for: overwritten in place on a terminal, not
/// there otherwise.
class status_line {
public:
    status_line();
    ~status_line() { clear(); }
    status_line(const status_line&) = delete;
    status_line& operator=(const status_line&) = delete;

    void show(const std::string& text);
    void clear();

private:
    bool on_terminal_;
    bool shown_ = false;
};

/// Writes to stdout. Returns false when the reader is gone (`| head`).
bool write_output(const std::string& text);

} // namespace vmplug
