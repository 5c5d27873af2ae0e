#include "cli/terminal.hpp"

#include "command/terminal_text.hpp"

#include <cstdio>

#include <sys/ioctl.h>
#include <unistd.h>

namespace vmplug {
namespace {

std::size_t width_of(int descriptor) {
    winsize size{};
    if (::isatty(descriptor) != 1 || ::ioctl(descriptor, TIOCGWINSZ, &size) != 0) return 0;
    return size.ws_col;
}

} // namespace

std::size_t terminal_width() {
    return width_of(STDOUT_FILENO);
}

status_line::status_line() : on_terminal_(::isatty(STDERR_FILENO) == 1) {}

void status_line::show(const std::string& text) {
    if (!on_terminal_) return;
    auto line = escape_for_terminal(text);
    const auto width = width_of(STDERR_FILENO);
    // A line that wraps could not be overwritten.
    if (width > 2 && display_width(line) >= width) line.resize(std::min(line.size(), width - 2));
    std::fprintf(stderr, "\r\033[K%s", line.c_str());
    std::fflush(stderr);
    shown_ = true;
}

void status_line::clear() {
    if (!shown_) return;
    std::fputs("\r\033[K", stderr);
    std::fflush(stderr);
    shown_ = false;
}

bool write_output(const std::string& text) {
    return std::fwrite(text.data(), 1, text.size(), stdout) == text.size() &&
           std::fflush(stdout) == 0;
}

} // namespace vmplug
