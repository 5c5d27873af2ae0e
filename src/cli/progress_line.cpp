#include "cli/progress_line.hpp"

#include "cli/terminal.hpp"
#include "command/text/terminal_text.hpp"

#include <boost/asio/steady_timer.hpp>

#include <cstdio>

namespace vmplug {
namespace {

using std::chrono::seconds;
using std::chrono::steady_clock;

constexpr seconds interval{1};

} // namespace

struct progress_line::state : std::enable_shared_from_this<progress_line::state> {
    explicit state(const boost::asio::any_io_executor& executor)
        : timer(executor), style(error_style()) {}

    boost::asio::steady_timer timer;
    text_style style;
    std::string text;
    steady_clock::time_point begin;
    bool shown = false;

    void draw();
    void hide();
    void wait();
};

void progress_line::state::draw() {
    const auto took = std::chrono::duration_cast<seconds>(steady_clock::now() - begin);
    auto line = escape_for_terminal(text);
    const auto time = took.count() > 0 ? " (" + std::to_string(took.count()) + " s)" : "";
    // A line that wraps could not be overwritten.
    const auto room = style.width > time.size() + 1 ? style.width - time.size() - 1 : 1;
    std::fprintf(stderr, "\r\033[K%s%s", cut_to_width(line, room).c_str(), time.c_str());
    std::fflush(stderr);
    shown = true;
}

void progress_line::state::hide() {
    if (!std::exchange(shown, false)) return;
    std::fputs("\r\033[K", stderr);
    std::fflush(stderr);
}

void progress_line::state::wait() {
    timer.expires_after(interval);
    timer.async_wait([self = shared_from_this()](boost::system::error_code aborted) {
        if (aborted || self->text.empty()) return;
        self->draw();
        self->wait();
    });
}

progress_line::progress_line(boost::asio::any_io_executor executor)
    : state_(std::make_shared<state>(executor)) {}

progress_line::~progress_line() {
    end();
}

void progress_line::show(const std::string& text) {
    if (state_->style.width == 0 || text.empty()) return;
    state_->text = text;
    state_->begin = steady_clock::now();
    state_->draw();
    state_->wait();
}

void progress_line::hide() {
    state_->hide();
}

void progress_line::end() {
    state_->text.clear();
    state_->timer.cancel();
    state_->hide();
}

} // namespace vmplug
