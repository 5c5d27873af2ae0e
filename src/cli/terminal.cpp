#include "cli/terminal.hpp"

#include "command/text/terminal_text.hpp"

#include <algorithm>
#include <cstdio>
#include <cstdlib>

#include <fcntl.h>
#include <poll.h>
#include <sys/ioctl.h>
#include <unistd.h>

namespace vmplug {
namespace {

std::size_t width_of(int descriptor) {
    winsize size{};
    if (::isatty(descriptor) != 1 || ::ioctl(descriptor, TIOCGWINSZ, &size) != 0) return 0;
    return size.ws_col;
}

/// The first of those that is set decides, as for the C library.
bool has_unicode() {
    for (const char* name : {"LC_ALL", "LC_CTYPE", "LANG"})
        if (const char* value = std::getenv(name); value && *value) {
            const std::string text = value;
            return text.find("UTF-8") != text.npos || text.find("utf8") != text.npos;
        }
    return false;
}

bool has_colours(int descriptor) {
    const char* unwanted = std::getenv("NO_COLOR");
    const char* kind = std::getenv("TERM");
    const bool dumb = !kind || std::string(kind) == "dumb";
    return ::isatty(descriptor) == 1 && !(unwanted && *unwanted) && !dumb;
}

text_style style_of(int descriptor) {
    return {width_of(descriptor), has_unicode(), has_colours(descriptor)};
}

} // namespace

text_style output_style() {
    return style_of(STDOUT_FILENO);
}

text_style error_style() {
    return style_of(STDERR_FILENO);
}

bool repeated_text::show(const std::string& text) {
    winsize size{};
    if (::isatty(STDOUT_FILENO) != 1 || ::ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) != 0)
        return write_output(text + "\n");
    // What has left the screen at its top cannot be overwritten: the rest is not shown.
    std::string shown = rows_ > 0 ? "\033[" + std::to_string(rows_) + "A\r\033[J" : "";
    rows_ = 0;
    for (std::size_t begin = 0; begin < text.size();) {
        const auto end = std::min(text.find('\n', begin), text.size());
        const auto line = text.substr(begin, end - begin);
        const auto columns = std::max<std::size_t>(size.ws_col, 1);
        const auto rows = std::max<std::size_t>((display_width(line) + columns - 1) / columns, 1);
        if (rows_ + rows + 1 >= size.ws_row) {
            shown += "...\n";
            ++rows_;
            break;
        }
        shown += line + "\n";
        rows_ += rows;
        begin = end + 1;
    }
    return write_output(shown);
}

bool reader_is_gone() {
    pollfd watched{STDOUT_FILENO, 0, 0};
    return ::poll(&watched, 1, 0) > 0 && (watched.revents & (POLLERR | POLLHUP | POLLNVAL)) != 0;
}

void keep_standard_descriptors() {
    for (const int each : {STDIN_FILENO, STDOUT_FILENO, STDERR_FILENO})
        if (::fcntl(each, F_GETFD) < 0 && ::open("/dev/null", O_RDWR) != each) std::abort();
}

bool write_output(const std::string& text) {
    return std::fwrite(text.data(), 1, text.size(), stdout) == text.size() &&
           std::fflush(stdout) == 0;
}

} // namespace vmplug
