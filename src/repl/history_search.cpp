#include "repl/history_search.hpp"

namespace vmplug {
namespace {

constexpr char give_up = '\x07';
constexpr char older = '\x12';
constexpr std::size_t wanted_max = 256;

bool is_erase(char key) {
    return key == '\x7f' || key == '\b';
}

bool is_inside_character(char byte) {
    return (static_cast<unsigned char>(byte) & 0xc0) == 0x80;
}

} // namespace

void history_search::look(std::size_t from) {
    for (std::size_t i = from; i < lines_.size() && !wanted_.empty(); ++i) {
        if (lines_[i].find(wanted_) == std::string::npos) continue;
        match_ = lines_[i];
        at_ = i;
        failing_ = false;
        return;
    }
    failing_ = !wanted_.empty();
}

history_search::progress history_search::take(char key) {
    if (key == '\r' || key == '\n') return progress::taken;
    if (key == give_up) return progress::given_up;
    if (key == older) {
        look(failing_ ? lines_.size() : at_ + 1);
    } else if (is_erase(key)) {
        while (!wanted_.empty() && is_inside_character(wanted_.back()))
            wanted_.pop_back();
        if (!wanted_.empty()) wanted_.pop_back();
        look(0);
    } else if (static_cast<unsigned char>(key) >= ' ') {
        if (wanted_.size() < wanted_max) wanted_ += key;
        look(at_);
    } else {
        return progress::accepted;
    }
    return progress::searching;
}

} // namespace vmplug
