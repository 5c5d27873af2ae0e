#include "repl/input_line.hpp"

#include "command/table/verb.hpp"

#include <algorithm>
#include <array>

namespace vmplug {
namespace {

constexpr std::array own_words{"use", "help", "close", "quit", "exit"};

bool is_blank(char c) {
    return c == ' ' || c == '\t' || c == '\r' || c == '\n';
}

/// Follows quotes and brackets through a text, a byte at a time.
class nesting {
public:
    void take(char c) {
        if (escaped_) {
            escaped_ = false;
        } else if (quote_ != 0) {
            if (c == '\\' && quote_ == '"') escaped_ = true;
            if (c == quote_) quote_ = 0;
        } else if (c == '"' || (c == '\'' && depth_ == 0)) {
            quote_ = c;
        } else if (c == '\\' && depth_ == 0) {
            escaped_ = true;
        } else if (c == '{' || c == '[') {
            ++depth_;
        } else if (c == '}' || c == ']') {
            depth_ -= std::min(depth_, 1);
        }
    }
    bool is_open() const { return quote_ != 0 || depth_ > 0; }
    char quote() const { return quote_; }
    bool in_quote() const { return quote_ != 0; }
    int depth() const { return depth_; }

private:
    char quote_ = 0;
    int depth_ = 0;
    bool escaped_ = false;
};

error still_open(std::string_view text) {
    return {error_code::invalid_argument, std::string(text.substr(0, 100)),
            "a quote or a bracket is still open", "close it"};
}

/// Reads one word from `at`; returns where it ends, npos when something is open.
std::size_t take_word(std::string_view text, std::size_t at, std::string& word) {
    nesting state;
    for (; at < text.size(); ++at) {
        const char c = text[at];
        const bool literal = state.depth() > 0 || c == '{' || c == '[';
        const bool was_quoted = state.in_quote();
        if (is_blank(c) && !state.is_open()) return at;
        if (!literal && c == '\\' && state.quote() != '\'' && at + 1 < text.size()) {
            word.push_back(text[++at]);
            continue;
        }
        state.take(c);
        const bool is_quote = !literal && was_quoted != state.in_quote();
        if (!is_quote) word.push_back(c);
    }
    return state.is_open() ? std::string_view::npos : at;
}

} // namespace

result<std::vector<std::string>> split_words(std::string_view text) {
    std::vector<std::string> words;
    for (std::size_t at = 0;;) {
        while (at < text.size() && is_blank(text[at]))
            ++at;
        if (at == text.size()) return words;
        std::string word;
        at = take_word(text, at, word);
        if (at == std::string_view::npos) return still_open(text);
        words.push_back(std::move(word));
    }
}

bool is_open_json(std::string_view text) {
    const auto begin = text.find_first_not_of(" \t\r\n");
    if (begin == text.npos || text[begin] != '{') return false;
    nesting state;
    std::ranges::for_each(text.substr(begin), [&](char c) { state.take(c); });
    return state.is_open();
}

std::vector<std::string> split_script(std::string_view text) {
    std::vector<std::string> lines(1);
    nesting state;
    for (const char c : text) {
        state.take(c);
        const bool ends = c == '\n' || c == ';';
        if (ends && !state.is_open())
            lines.emplace_back();
        else
            lines.back().push_back(c);
    }
    return lines;
}

result<input_line> parse_input_line(std::string_view text) {
    input_line line;
    const auto begin = text.find_first_not_of(" \t\r\n");
    if (begin == text.npos || text[begin] == '#') return line;
    text.remove_prefix(begin);
    text = text.substr(0, text.find_last_not_of(" \t\r\n") + 1);
    line.text = text;
    if (text.front() == '{') {
        if (is_open_json(text)) return still_open(text);
        line.what = input_line::kind::json;
        return line;
    }
    constexpr std::string_view hmp_word = "hmp ";
    const auto mark = text.front() == '!' ? 1 : text.starts_with(hmp_word) ? hmp_word.size() : 0;
    if (mark > 0) {
        text.remove_prefix(mark);
        line.what = input_line::kind::hmp;
        line.text = text.substr(std::min(text.find_first_not_of(' '), text.size()));
        return line;
    }
    auto words = split_words(text);
    if (words.has_error()) return words.error();
    line.words = std::move(*words);
    line.what = input_line::kind::qmp;
    if (find_verb(line.words.front())) line.what = input_line::kind::verb;
    if (std::ranges::find(own_words, line.words.front()) != own_words.end())
        line.what = input_line::kind::own;
    return line;
}

} // namespace vmplug
