#include "repl/repl_output.hpp"

#include "command/render/error_text.hpp"
#include "command/render/json_text.hpp"
#include "command/text/json_colours.hpp"
#include "command/text/printable_json.hpp"
#include "command/text/terminal_text.hpp"
#include "repl/pager.hpp"

#include <cerrno>
#include <cstdio>
#include <utility>

namespace vmplug {
namespace {

using nlohmann::json;

constexpr std::size_t kept_back_max = 1 << 20;

} // namespace

int repl_output::show(const json& value, const std::string& text, int code) {
    record_.write("output", value);
    if (json_)
        print(json_line(value));
    else if (terminal_ && is_longer_than_screen(text))
        long_answer_ += text;
    else
        print(text);
    return code;
}

int repl_output::show_json(const json& value, const json& shown) {
    return show(value, paint_json(style_, printable_json(shown, 2) + "\n"), 0);
}

void repl_output::guest_is(const std::string& guest, const std::string& what) {
    const json value{{"guest", guest}, {"monitor", what}};
    print(json_ ? json_line(value) : escape_for_terminal(guest) + ": " + what + "\n");
}

void repl_output::remark(const std::string& text) {
    if (!json_) print(text + "\n");
}

int repl_output::fail(const error& failure) {
    return answer(failed(failure));
}

int repl_output::misuse(const error& failure) {
    return answer(misused(failure));
}

int repl_output::answer(const command_result& result) {
    record_.write("output", result.value);
    if (json_)
        print(json_line(result.value));
    else
        complain(result.value["error"]);
    return result.exit_code;
}

void repl_output::complain(const json& failure) {
    complain_text(render_error(failure, error_style_));
}

void repl_output::complain_text(const std::string& text) {
    before_();
    if (terminal_)
        terminal_->print_above(text);
    else
        std::fputs(text.c_str(), stderr);
}

void repl_output::event(const std::string& guest, const monitor_event& happened) {
    auto data = json::parse(happened.data, nullptr, false);
    if (data.is_discarded()) data = json();
    const json value{{"guest", guest}, {"event", happened.name}, {"data", std::move(data)}};
    record_.write("event", value);
    if (json_) return print(json_line(value));
    print(escape_for_terminal(guest) + ": " +
          paint(style_, ink::name, escape_for_terminal(happened.name)) + " " +
          escape_for_terminal(happened.data) + "\n");
}

void repl_output::print(const std::string& text) {
    before_();
    // Events may come for as long as a person reads.
    if (paging_ && kept_back_.size() < kept_back_max)
        kept_back_ += text;
    else if (paging_)
        return;
    else if (terminal_)
        terminal_->print_above(text);
    else if ((std::fputs(text.c_str(), stdout) == EOF || std::fflush(stdout) != 0) && lost_ == 0)
        lost_ = errno;
}

void repl_output::took(const std::string& duration) {
    if (!json_) print(paint(style_, ink::quiet, "(" + duration + ")") + "\n");
}

boost::asio::awaitable<void> repl_output::show_long(boost::asio::any_io_executor executor) {
    if (long_answer_.empty()) co_return;
    const auto text = std::exchange(long_answer_, {});
    paging_ = true;
    const bool shown = co_await page(std::move(executor), text);
    paging_ = false;
    if (!shown) print(text);
    const auto missed = std::exchange(kept_back_, {});
    if (!missed.empty()) print(missed);
    if (missed.size() >= kept_back_max) print("(more came meanwhile)\n");
}

} // namespace vmplug
