#pragma once

#include "command/handle/command_result.hpp"
#include "command/text/text_style.hpp"
#include "repl/editor.hpp"
#include "repl/transcript.hpp"

#include <vmplug/error.hpp>
#include <vmplug/monitor.hpp>

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/awaitable.hpp>
#include <nlohmann/json.hpp>

#include <functional>
#include <string>

namespace vmplug {

/// What a person, or the reader of a script, gets to see of the REPL; the transcript gets it too.
class repl_output {
public:
    /// `before` is called before anything is printed, so that what shows progress makes room.
    repl_output(bool json, text_style style, text_style error_style, std::function<void()> before)
        : json_(json), style_(style), error_style_(error_style), before_(std::move(before)) {}

    /// Appends to that file from now on. Returns false when it cannot be written.
    bool record(const std::string& path) { return record_.open(path); }

    /// From now on there is a terminal with a line that is being written.
    void attach(editor& terminal) { terminal_ = &terminal; }
    void detach() { terminal_ = nullptr; }

    const text_style& style() const { return style_; }

    void input(const std::string& text) { record_.write("input", text); }

    /// An answer: `value` for programs, `text` for people. Returns `code`. On a terminal a text
    /// that is longer than it waits for `show_long`.
    int show(const nlohmann::json& value, const std::string& text, int code);

    /// An answer that is JSON itself, laid out and in colours.
    int show_json(const nlohmann::json& value, const nlohmann::json& shown);

    /// What happened to a guest's monitor.
    void guest_is(const std::string& guest, const std::string& what);

    /// A word to the person: nothing for programs.
    void remark(const std::string& text);

    /// Returns the exit code.
    int fail(const error& failure);

    /// The same of a usage error.
    int misuse(const error& failure);
    void complain(const nlohmann::json& failure);
    void complain_text(const std::string& text);

    void event(const std::string& guest, const monitor_event& happened);

    /// Text that is safe for a terminal and ends with a line break: above the line that is written.
    void print(const std::string& text);

    /// Says how long a command took, after it; not for programs.
    void took(const std::string& duration);

    /// Gives the long answer to a pager. What is printed meanwhile follows it.
    boost::asio::awaitable<void> show_long(boost::asio::any_io_executor executor);

    /// errno of the first text that could not be written to standard output, 0 when there is none.
    int lost() const { return lost_; }

private:
    int answer(const command_result& result);

    bool json_;
    text_style style_;
    text_style error_style_;
    std::function<void()> before_;
    transcript record_;
    editor* terminal_ = nullptr;
    std::string long_answer_;
    std::string kept_back_;
    bool paging_ = false;
    int lost_ = 0;
};

} // namespace vmplug
