#include "hmp/line_editor.hpp"

#include <algorithm>

namespace vmplug::hmp {
namespace {

constexpr std::size_t count_max = 10'000;

} // namespace

void line_editor::clear() {
    *this = line_editor();
}

void line_editor::put(char byte) {
    if (escape_ == escape::begun) {
        escape_ = byte == '[' ? escape::sequence : escape::none;
        count_ = 0;
    } else if (escape_ == escape::sequence) {
        if (byte >= '0' && byte <= '9')
            count_ = std::min(count_ * 10 + static_cast<std::size_t>(byte - '0'), count_max);
        else
            finish_sequence(byte);
    } else if (byte == '\x1b') {
        escape_ = escape::begun;
    } else if (byte == '\r') {
        cursor_ = 0;
    } else if (byte == '\b') {
        cursor_ -= std::min<std::size_t>(cursor_, 1);
    } else if (cursor_ < length_max) {
        if (cursor_ == text_.size()) text_.push_back(byte);
        text_[cursor_++] = byte;
    }
}

void line_editor::finish_sequence(char command) {
    escape_ = escape::none;
    const auto steps = std::max<std::size_t>(count_, 1);
    if (command == 'D') cursor_ -= std::min(cursor_, steps);
    if (command == 'C') cursor_ = std::min(cursor_ + steps, text_.size());
    if (command == 'K') text_.resize(cursor_);
}

} // namespace vmplug::hmp
