#include "repl/editor.hpp"

#include "command/terminal_text.hpp"

#include <boost/asio/as_tuple.hpp>
#include <boost/asio/posix/stream_descriptor.hpp>
#include <boost/asio/use_awaitable.hpp>

#include <algorithm>
#include <cstdio>

#include <fcntl.h>
#include <histedit.h>
#include <poll.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <unistd.h>

namespace vmplug {
namespace {

namespace asio = boost::asio;

constexpr int history_size = 1000;
constexpr std::size_t listed_max = 100;

bool is_hung_up(int descriptor) {
    pollfd watched{descriptor, POLLIN, 0};
    return ::poll(&watched, 1, 0) > 0 && (watched.revents & (POLLHUP | POLLERR)) != 0;
}

/// What all candidates begin with.
std::string common_beginning(const std::vector<std::string>& words) {
    auto common = words.front();
    for (const auto& word : words) {
        const auto [end, ignored] = std::ranges::mismatch(common, word);
        common.erase(end, common.end());
    }
    return common;
}

/// The word before the cursor.
std::string last_word(const std::string& before) {
    const auto blank = before.find_last_of(" \t");
    return blank == before.npos ? before : before.substr(blank + 1);
}

std::string list_of(std::vector<std::string> words) {
    std::string text;
    for (std::size_t i = 0; i < std::min(words.size(), listed_max); ++i)
        text += (i == 0 ? "" : "  ") + escape_for_terminal(words[i]);
    if (words.size() > listed_max) text += "  ...";
    return text + "\n";
}

} // namespace

struct editor::state {
    state(asio::any_io_executor executor, std::string file, completer completes)
        : input(executor, ::dup(STDIN_FILENO)), history_file(std::move(file)),
          complete(std::move(completes)), edited(el_init("vmplug", stdin, stdout, stderr)),
          past(history_init()) {}
    ~state() {
        history_end(past);
        el_end(edited);
    }

    asio::posix::stream_descriptor input;
    std::string history_file;
    completer complete;
    EditLine* edited;
    History* past;
    std::string prompt;
    bool editing = false;
    bool tab_pressed = false;
    bool ended = false;

    void configure();
    void start(bool on);
    void redraw() { el_set(edited, EL_REFRESH); }
    void print_above(const std::string& text);
    std::size_t rows_above_cursor() const;
    std::string before_cursor() const;
    void remember(const std::string& line);
    asio::awaitable<void> offer_candidates();
    asio::awaitable<bool> wait_for_key();

    static state& of(EditLine* which) {
        void* found = nullptr;
        el_get(which, EL_CLIENTDATA, &found);
        return *static_cast<state*>(found);
    }
    static char* show_prompt(EditLine* which) { return of(which).prompt.data(); }
    /// Candidates may have to be fetched, which needs the event loop: only noted here.
    static unsigned char on_tab(EditLine* which, int) {
        of(which).tab_pressed = true;
        return CC_NORM;
    }
    /// Ctrl-D ends the input on an empty line, which looks like any other empty line else.
    static unsigned char on_end(EditLine* which, int) {
        const auto* line = el_line(which);
        of(which).ended = line->buffer == line->lastchar;
        if (line->cursor == line->lastchar) return CC_NORM;
        el_cursor(which, 1);
        el_deletestr(which, 1);
        return CC_REFRESH;
    }
};

void editor::state::configure() {
    el_set(edited, EL_CLIENTDATA, this);
    el_set(edited, EL_EDITOR, "emacs");
    el_set(edited, EL_SIGNAL, 0);
    el_set(edited, EL_PROMPT, &state::show_prompt);
    HistEvent event;
    history(past, &event, H_SETSIZE, history_size);
    history(past, &event, H_SETUNIQUE, 1);
    if (!history_file.empty()) history(past, &event, H_LOAD, history_file.c_str());
    el_set(edited, EL_HIST, history, past);
    el_set(edited, EL_ADDFN, "vmplug-complete", "complete the word", &state::on_tab);
    el_set(edited, EL_ADDFN, "vmplug-end", "delete, or end the input", &state::on_end);
    el_set(edited, EL_BIND, "^D", "vmplug-end", nullptr);
    el_set(edited, EL_BIND, "^I", "vmplug-complete", nullptr);
    // libedit's incremental search reads keys by itself, and events would wait for it. This one
    // looks for what is written so far, one step back for each Ctrl-R.
    el_set(edited, EL_BIND, "^R", "ed-search-prev-history", nullptr);
}

void editor::state::start(bool on) {
    if (editing == on) return;
    editing = on;
    el_set(edited, EL_UNBUFFERED, on ? 1 : 0);
}

std::string editor::state::before_cursor() const {
    const auto* line = el_line(edited);
    return {line->buffer, line->cursor};
}

/// A long line wraps: the cursor may be rows below the prompt.
std::size_t editor::state::rows_above_cursor() const {
    winsize size{};
    if (::ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) != 0 || size.ws_col == 0) return 0;
    return (prompt.size() + before_cursor().size()) / size.ws_col;
}

void editor::state::print_above(const std::string& text) {
    if (editing) {
        if (const auto rows = rows_above_cursor(); rows > 0) std::printf("\033[%zuA", rows);
        std::fputs("\r\033[J", stdout);
    }
    std::fputs(text.c_str(), stdout);
    std::fflush(stdout);
    if (editing) redraw();
}

void editor::state::remember(const std::string& line) {
    if (line.find_first_not_of(" \t") == line.npos) return;
    HistEvent event;
    history(past, &event, H_ENTER, line.c_str());
    if (history_file.empty()) return;
    const auto previous = ::umask(0077);
    history(past, &event, H_SAVE, history_file.c_str());
    ::umask(previous);
}

asio::awaitable<void> editor::state::offer_candidates() {
    tab_pressed = false;
    const auto before = before_cursor();
    auto found = co_await complete(before);
    const auto word = last_word(before);
    // What came from a guest must neither move the cursor nor begin another word.
    std::erase_if(found, [&](const std::string& each) {
        return !each.starts_with(word) ||
               std::ranges::any_of(each, [](char c) { return c <= ' ' || c == '\x7f'; });
    });
    if (found.empty() || before != before_cursor()) co_return;
    const auto common = common_beginning(found);
    if (common.size() > word.size()) el_insertstr(edited, common.substr(word.size()).c_str());
    const bool ends = found.size() == 1 && !common.ends_with('=') && !common.ends_with('.');
    if (ends) el_insertstr(edited, " ");
    if (found.size() > 1 && common.size() == word.size())
        print_above(list_of(std::move(found)));
    else
        redraw();
}

asio::awaitable<bool> editor::state::wait_for_key() {
    auto [failure] = co_await input.async_wait(asio::posix::stream_descriptor::wait_read,
                                               asio::as_tuple(asio::use_awaitable));
    co_return !failure;
}

editor::editor(asio::any_io_executor executor, std::string history_file, completer complete)
    : state_(std::make_unique<state>(std::move(executor), std::move(history_file),
                                     std::move(complete))) {
    state_->configure();
}

editor::~editor() {
    state_->start(false);
}

asio::awaitable<std::optional<std::string>> editor::read_line(std::string prompt) {
    auto& s = *state_;
    s.prompt = std::move(prompt);
    s.start(true);
    for (;;) {
        if (!co_await s.wait_for_key()) break;
        int count = 0;
        const char* text = el_gets(s.edited, &count);
        // For an empty line libedit returns what it returns at the end of the input.
        if (s.ended || (!text && is_hung_up(STDIN_FILENO))) break;
        if (s.tab_pressed) {
            co_await s.offer_candidates();
            continue;
        }
        if (count <= 0 || text[count - 1] != '\n') continue;
        std::string line(text, static_cast<std::size_t>(count) - 1);
        s.start(false);
        s.remember(line);
        co_return line;
    }
    s.start(false);
    co_return std::nullopt;
}

void editor::print_above(const std::string& text) {
    state_->print_above(text);
}

void editor::close() {
    boost::system::error_code ignored;
    state_->input.cancel(ignored);
}

void editor::interrupt() {
    auto& s = *state_;
    if (!s.editing) return;
    std::fputs("^C\n", stdout);
    el_reset(s.edited);
    s.start(false);
    s.start(true);
}

} // namespace vmplug
