#include "repl/editor.hpp"

#include "command/text/terminal_text.hpp"
#include "repl/history_file.hpp"
#include "repl/history_search.hpp"

#include <boost/asio/as_tuple.hpp>
#include <boost/asio/bind_cancellation_slot.hpp>
#include <boost/asio/cancellation_signal.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/posix/stream_descriptor.hpp>
#include <boost/asio/use_awaitable.hpp>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <optional>

#include <fcntl.h>
#include <histedit.h>
#include <poll.h>
#include <sys/ioctl.h>
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

/// libedit counts characters, not bytes.
int count_characters(const std::string& text) {
    const auto count = std::mbstowcs(nullptr, text.c_str(), 0);
    return static_cast<int>(count == static_cast<std::size_t>(-1) ? text.size() : count);
}

std::size_t screen_width() {
    winsize size{};
    const bool known = ::ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col > 0;
    return known ? size.ws_col : 80;
}

/// What all candidates begin with.
std::string common_beginning(const std::vector<candidate>& words) {
    auto common = words.front().text;
    for (const auto& word : words) {
        const auto [end, ignored] = std::ranges::mismatch(common, word.text);
        common.erase(end, common.end());
    }
    return common;
}

/// The word before the cursor.
std::string last_word(const std::string& before) {
    const auto blank = before.find_last_of(" \t");
    return blank == before.npos ? before : before.substr(blank + 1);
}

/// A line for each where there is something to tell of them, else as many as fit beside each other.
std::string list_of(const std::vector<candidate>& words) {
    const bool described =
        std::ranges::any_of(words, [](const candidate& each) { return !each.description.empty(); });
    const auto count = std::min(words.size(), listed_max);
    std::size_t width = 0;
    for (std::size_t i = 0; i < count; ++i)
        width = std::max(width, display_width(escape_for_terminal(words[i].text)));
    const auto columns = described ? 1 : std::max<std::size_t>(screen_width() / (width + 2), 1);
    std::string text;
    for (std::size_t i = 0; i < count; ++i) {
        auto line = escape_for_terminal(words[i].text);
        const bool ends = (i + 1) % columns == 0 || i + 1 == count;
        if (!ends || described) line.append(width - display_width(line) + 2, ' ');
        if (described)
            line = cut_to_width(line + escape_for_terminal(words[i].description), screen_width());
        text += line + (ends ? "\n" : "");
    }
    if (words.size() > listed_max)
        text += "... and " + std::to_string(words.size() - listed_max) + " more\n";
    return text;
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
    bool ended = false;    ///< there is no more input
    bool given_up = false; ///< the line that is being edited
    asio::cancellation_signal completion;
    std::optional<history_search> search; ///< what is looked for, while it is
    std::string prompt_before_search;
    std::string line_before_search;

    void configure();
    void load_history();
    void start(bool on);
    /// libedit takes the screen for empty when it is told to draw the line again: so it has to be.
    void erase() const;
    void redraw() { el_set(edited, EL_REFRESH); }
    void print_above(const std::string& text);
    std::size_t rows_above_cursor() const;
    std::string before_cursor() const;
    void remember(const std::string& line);
    asio::awaitable<void> offer_candidates();
    asio::awaitable<bool> wait_for_key();
    void stop_waiting();
    asio::awaitable<std::optional<std::string>> take_key();
    std::vector<std::string> earlier_lines() const;
    void replace_line(const std::string& text);
    void begin_search();
    void end_search(const std::string& line);
    void search_on();

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
    static unsigned char on_search(EditLine* which, int) {
        of(which).begin_search();
        return CC_REFRESH;
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
    load_history();
    el_set(edited, EL_HIST, history, past);
    el_set(edited, EL_ADDFN, "vmplug-complete", "complete the word", &state::on_tab);
    el_set(edited, EL_ADDFN, "vmplug-end", "delete, or end the input", &state::on_end);
    el_set(edited, EL_BIND, "^D", "vmplug-end", nullptr);
    el_set(edited, EL_BIND, "^I", "vmplug-complete", nullptr);
    el_set(edited, EL_ADDFN, "vmplug-search", "look for an earlier line", &state::on_search);
    el_set(edited, EL_BIND, "^R", "vmplug-search", nullptr);
}

void editor::state::load_history() {
    const auto file = history_file.empty() ? nullptr : open_history(history_file, false);
    if (!file) return;
    // libedit loads by name alone: this one is of what was opened.
    const auto name = "/proc/self/fd/" + std::to_string(::fileno(file.get()));
    HistEvent event;
    history(past, &event, H_LOAD, name.c_str());
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
    return (display_width(prompt) + display_width(before_cursor())) / screen_width();
}

void editor::state::erase() const {
    if (const auto rows = rows_above_cursor(); rows > 0) std::printf("\033[%zuA", rows);
    std::fputs("\r\033[J", stdout);
}

void editor::state::print_above(const std::string& text) {
    if (editing) erase();
    std::fputs(text.c_str(), stdout);
    std::fflush(stdout);
    if (editing) redraw();
}

void editor::state::remember(const std::string& line) {
    if (line.find_first_not_of(" \t") == line.npos) return;
    HistEvent event;
    history(past, &event, H_ENTER, line.c_str());
    if (history_file.empty()) return;
    if (const auto file = open_history(history_file, true))
        history(past, &event, H_SAVE_FP, file.get());
}

asio::awaitable<void> editor::state::offer_candidates() {
    tab_pressed = false;
    const auto before = before_cursor();
    std::vector<candidate> found;
    try {
        found = co_await asio::co_spawn(
            input.get_executor(), complete(before),
            asio::bind_cancellation_slot(completion.slot(), asio::use_awaitable));
    } catch (const boost::system::system_error&) {
        co_return; // given up
    }
    const auto word = last_word(before);
    // What came from a guest must neither move the cursor nor begin another word.
    std::erase_if(found, [&](const candidate& each) {
        return !each.text.starts_with(word) || std::ranges::any_of(each.text, [](char c) {
            return static_cast<unsigned char>(c) <= ' ' || c == '\x7f';
        });
    });
    std::ranges::sort(found, {}, &candidate::text);
    const auto same = [](const candidate& a, const candidate& b) { return a.text == b.text; };
    found.erase(std::unique(found.begin(), found.end(), same), found.end());
    if (found.empty() || before != before_cursor()) co_return;
    const auto common = common_beginning(found);
    const bool lists = found.size() > 1 && common.size() == word.size();
    if (lists) co_return print_above(list_of(found));
    erase();
    if (common.size() > word.size()) el_insertstr(edited, common.substr(word.size()).c_str());
    const bool ends = found.size() == 1 && !common.ends_with('=') && !common.ends_with('.');
    if (ends) el_insertstr(edited, " ");
    redraw();
}

/// Returns false when the line or the input ends instead.
asio::awaitable<bool> editor::state::wait_for_key() {
    if (ended || given_up) co_return false;
    auto [failure] = co_await input.async_wait(asio::posix::stream_descriptor::wait_read,
                                               asio::as_tuple(asio::use_awaitable));
    co_return !failure;
}

/// Whatever is waited for ends: a key, or a completion.
void editor::state::stop_waiting() {
    boost::system::error_code ignored;
    input.cancel(ignored);
    completion.emit(asio::cancellation_type::terminal);
}

std::vector<std::string> editor::state::earlier_lines() const {
    std::vector<std::string> lines;
    HistEvent event;
    for (int there = history(past, &event, H_FIRST); there != -1;
         there = history(past, &event, H_NEXT)) {
        lines.emplace_back(event.str);
        // A file of lines keeps their ends.
        while (lines.back().ends_with('\n'))
            lines.back().pop_back();
    }
    return lines;
}

void editor::state::replace_line(const std::string& text) {
    const auto* line = el_line(edited);
    el_cursor(edited, count_characters({line->cursor, line->lastchar}));
    el_deletestr(edited, count_characters({line->buffer, line->lastchar}));
    if (!text.empty()) el_insertstr(edited, text.c_str());
}

void editor::state::begin_search() {
    const auto* line = el_line(edited);
    line_before_search.assign(line->buffer, line->lastchar);
    prompt_before_search = prompt;
    search.emplace(earlier_lines());
    prompt = "(search): ";
}

void editor::state::end_search(const std::string& line) {
    erase();
    search.reset();
    prompt = prompt_before_search;
    replace_line(line);
    redraw();
}

/// The next key belongs to the search.
void editor::state::search_on() {
    char key = 0;
    const auto size = ::read(STDIN_FILENO, &key, 1);
    ended = size == 0 || (size < 0 && errno != EINTR && errno != EAGAIN);
    if (size != 1) return;
    const auto found = search->take(key);
    const auto match = search->match().empty() ? line_before_search : search->match();
    if (found == history_search::progress::given_up) return end_search(line_before_search);
    if (found != history_search::progress::searching) {
        const char again[] = {key, '\0'};
        end_search(match);
        el_push(edited, again);
        return;
    }
    erase();
    prompt = std::string(search->failing() ? "(not found" : "(search") + " '" +
             escape_for_terminal(search->wanted()) + "'): ";
    replace_line(match);
    redraw();
}

editor::editor(asio::any_io_executor executor, std::string history_file, completer complete)
    : state_(std::make_unique<state>(std::move(executor), std::move(history_file),
                                     std::move(complete))) {
    state_->configure();
}

editor::~editor() {
    state_->start(false);
}

/// Lets libedit, or the search, have the next key. Returns the line when that was its end.
asio::awaitable<std::optional<std::string>> editor::state::take_key() {
    if (search) search_on();
    if (search) co_return std::nullopt;
    int count = 0;
    const char* text = el_gets(edited, &count);
    // For an empty line libedit returns what it returns at the end of the input.
    if (!text && is_hung_up(STDIN_FILENO)) ended = true;
    if (tab_pressed) {
        co_await offer_candidates();
        co_return std::nullopt;
    }
    if (count <= 0 || !text || text[count - 1] != '\n') co_return std::nullopt;
    co_return std::string(text, static_cast<std::size_t>(count) - 1);
}

asio::awaitable<editor::read_result> editor::read_line(std::string prompt) {
    auto& s = *state_;
    s.prompt = std::move(prompt);
    s.given_up = false;
    s.start(true);
    while (co_await s.wait_for_key()) {
        auto line = co_await s.take_key();
        if (!line || s.ended) continue;
        s.start(false);
        s.remember(*line);
        co_return read_result{read_result::ending::entered, std::move(*line)};
    }
    s.start(false);
    const bool open = s.given_up && !s.ended;
    co_return read_result{open ? read_result::ending::given_up : read_result::ending::closed, {}};
}

void editor::print_above(const std::string& text) {
    state_->print_above(text);
}

void editor::close() {
    state_->ended = true;
    state_->stop_waiting();
}

void editor::interrupt() {
    auto& s = *state_;
    if (!s.editing) return;
    std::fputs("^C\n", stdout);
    s.search.reset();
    el_reset(s.edited);
    s.given_up = true;
    s.stop_waiting();
}

void editor::resume() {
    auto& s = *state_;
    el_resize(s.edited);
    if (!s.editing) return;
    const auto* line = el_line(s.edited);
    const std::string written(line->buffer, line->lastchar);
    s.start(false);
    s.start(true); // with an empty line
    s.erase();
    s.replace_line(written);
    s.redraw();
}

} // namespace vmplug
