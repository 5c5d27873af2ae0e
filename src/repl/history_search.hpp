#pragma once

#include <cstddef>
#include <string>
#include <vector>

namespace vmplug {

/// An incremental search through earlier lines, as Ctrl-R begins it: each key narrows it, Ctrl-R
/// again goes to an older line. Pure; libedit's own reads the keys by itself, and events would wait
/// for it.
class history_search {
public:
    enum class progress {
        searching,
        accepted, ///< the match is the line to edit; the key is the editor's
        taken,    ///< Enter: the match is the line
        given_up, ///< Ctrl-G: the line is what it was
    };

    explicit history_search(std::vector<std::string> newest_first)
        : lines_(std::move(newest_first)) {}

    /// Takes one byte from the keyboard.
    progress take(char key);

    const std::string& wanted() const { return wanted_; }

    /// The line that was found last, empty before the first.
    const std::string& match() const { return match_; }
    bool failing() const { return failing_; }

private:
    void look(std::size_t from);

    std::vector<std::string> lines_;
    std::string wanted_;
    std::string match_;
    std::size_t at_ = 0; ///< index of the match
    bool failing_ = false;
};

} // namespace vmplug
