#pragma once

#include "command/handle/command_context.hpp"
#include "command/table/verb.hpp"
#include "command/text/text_style.hpp"

#include <boost/asio/any_io_executor.hpp>

#include <memory>
#include <optional>
#include <string>
#include <vector>

namespace vmplug {

struct repl_options {
    std::string guest;                 ///< opened at the start; empty: none
    std::optional<std::string> script; ///< run instead of reading a terminal
    bool json = false;                 ///< one object for each line, and events as objects
    std::string transcript_file;
    std::string history_file;
    text_style style;
    text_style error_style;              ///< of stderr
    std::string state_directory;         ///< of the journal that is open
    std::function<void()> begin_command; ///< an earlier Ctrl-C does not concern this one
    std::function<void()> end_command;
    std::function<void()> before_output; ///< what shows progress makes room
};

/// Several guests, the table's verbs, any QMP command and HMP lines, with events as they come.
///
/// A script stops at the first failure and returns its exit code.
class repl {
public:
    repl(boost::asio::any_io_executor executor, command_context& context, repl_options options);
    ~repl();

    boost::asio::awaitable<int> run();

    /// Ctrl-C: gives up the line that is written, or the command that runs.
    void interrupt();

    /// After Ctrl-Z, and when the terminal has another size.
    void resume();

    /// Ends it as soon as what runs has ended.
    void close();

    /// errno of the first answer that could not be written, 0 when there is none.
    int lost() const;

private:
    struct state;
    std::shared_ptr<state> state_;
};

} // namespace vmplug
