#pragma once

#include "command/complete/candidate.hpp"

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/awaitable.hpp>

#include <functional>
#include <memory>
#include <string>
#include <vector>

namespace vmplug {

/// A line that is being edited on a terminal, on libedit, driven by the event loop: other work goes
/// on between two keys.
///
/// While a line is edited the terminal is raw; between `read_line`s it is as it was.
class editor {
public:
    /// `complete` is asked at a Tab, with the text before the cursor; it returns whole words for
    /// the one that is being written.
    using completer =
        std::function<boost::asio::awaitable<std::vector<candidate>>(std::string before)>;

    /// `history_file` is read now and appended to, mode 0600; empty: none is kept.
    editor(boost::asio::any_io_executor executor, std::string history_file, completer complete);
    ~editor();

    struct read_result {
        enum class ending { entered, given_up, closed };
        ending how;
        std::string line; ///< without its line end
    };
    boost::asio::awaitable<read_result> read_line(std::string prompt);

    /// Shows text above the line that is being written, which stays as it is. It has to be safe for
    /// a terminal and end with a line break.
    void print_above(const std::string& text);

    /// Ctrl-C: the line is given up, with what is being completed.
    void interrupt();

    /// The input ends.
    void close();

    /// The terminal is ours again after Ctrl-Z, or has another size.
    void resume();

private:
    struct state;
    std::unique_ptr<state> state_;
};

} // namespace vmplug
