#pragma once

#include "command/table/parse_values.hpp"

#include <optional>
#include <span>

namespace vmplug {

/// What stands in a line, word by word.
struct written_line {
    const verb* row = nullptr; ///< nullptr: no verb yet, or none of that name
    written_values values;
    const verb_option* awaits = nullptr; ///< its value comes next
    std::size_t arguments = 0;           ///< how many words are arguments of the verb
    bool options_ended = false;          ///< by `--`: what follows are arguments
    bool asks_help = false;
    bool asks_version = false;
    bool lost = false; ///< there is no such verb
    /// The first of what stands where it cannot. Reading went on, so that `--json` counts.
    std::optional<error> fault;

    /// What the next word would be; nullptr when no more are taken.
    const verb_argument* next_argument() const;
};

/// Reads lines of this program: VERB ARGUMENT... with options anywhere, `--option VALUE` or
/// `--option=VALUE`, `-v`, and `--` before words that are no options although they look so. The
/// only one who knows how a line is written, for the command line, the prompt and completion.
class line_reader {
public:
    void take(const std::string& word);

    /// The verb's next argument, whatever it looks like.
    void take_argument(const std::string& text);

    const written_line& line() const { return line_; }

private:
    void take_verb(const std::string& word);
    void take_long(const std::string& word);
    void take_short(const std::string& word);
    void take_option(const verb_option& option, const std::optional<std::string>& value);
    bool take_question(const std::string& word);
    void fail(error fault);

    written_line line_;
};

/// The words behind the program's name.
written_line read_line(std::span<const std::string> words);

/// What the line asks of its verb.
/// Errors: invalid_argument, as of `parse_values`, or of the line; `remedy` says where help is.
result<invocation> parse_line(const written_line& line);

} // namespace vmplug
