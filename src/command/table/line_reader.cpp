#include "command/table/line_reader.hpp"

#include <algorithm>

namespace vmplug {
namespace {

constexpr std::size_t shown_max = 100;

/// A number with a sign is none.
bool looks_like_option(const std::string& word) {
    return word.size() > 1 && word[0] == '-' && !(word[1] >= '0' && word[1] <= '9');
}

std::vector<std::string> option_names(const verb* row) {
    std::vector<std::string> names;
    if (row) std::ranges::transform(row->options, std::back_inserter(names), long_name);
    std::ranges::transform(common_options(), std::back_inserter(names), long_name);
    return names;
}

error misplaced(const std::string& where, std::string text) {
    return {error_code::invalid_argument, where.substr(0, shown_max), std::move(text), {}};
}

error unknown_verb(const std::string& word) {
    std::vector<std::string> names;
    for (const auto& row : verbs())
        names.emplace_back(row.name);
    return misplaced({},
                     "there is no verb '" + word.substr(0, 60) + "'" + did_you_mean(word, names));
}

} // namespace

const verb_argument* written_line::next_argument() const {
    if (!row || row->arguments.empty()) return nullptr;
    if (arguments < row->arguments.size()) return &row->arguments[arguments];
    return row->arguments.back().repeated ? &row->arguments.back() : nullptr;
}

void line_reader::fail(error fault) {
    if (!line_.fault) line_.fault = std::move(fault);
}

void line_reader::take(const std::string& word) {
    if (line_.awaits)
        line_.values.by_name[long_name(*std::exchange(line_.awaits, nullptr))].push_back(word);
    else if (line_.options_ended || !looks_like_option(word))
        line_.row || line_.lost ? take_argument(word) : take_verb(word);
    else if (word == "--")
        line_.options_ended = true;
    else if (!take_question(word))
        word.starts_with("--") ? take_long(word) : take_short(word);
}

void line_reader::take_verb(const std::string& word) {
    line_.row = find_verb(word);
    if (line_.row) return;
    line_.lost = true;
    fail(unknown_verb(word));
}

void line_reader::take_argument(const std::string& text) {
    if (line_.lost) return;
    const auto* argument = line_.next_argument();
    if (!argument)
        return fail(misplaced(text, line_.row->name + std::string(" takes no further argument")));
    line_.values.by_name[argument->name].push_back(text);
    ++line_.arguments;
}

bool line_reader::take_question(const std::string& word) {
    if (word == "--help" || word == "-h") return line_.asks_help = true;
    if (word == "--version") return line_.asks_version = true;
    return false;
}

void line_reader::take_long(const std::string& word) {
    const auto equals = word.find('=');
    const auto name = word.substr(0, equals);
    if (const auto* option = find_option(line_.row, name))
        return take_option(*option, equals == word.npos ? std::nullopt
                                                        : std::optional(word.substr(equals + 1)));
    fail(misplaced(name, "there is no such option" + did_you_mean(name, option_names(line_.row))));
}

/// `-v`, `-vh`, `-c SCRIPT`, `-cSCRIPT`.
void line_reader::take_short(const std::string& word) {
    const auto* option = find_option(line_.row, word.substr(0, 2));
    if (!option) return fail(misplaced(word, "there is no such option"));
    const auto rest = word.substr(2);
    if (option->value)
        return take_option(*option, rest.empty() ? std::nullopt : std::optional(rest));
    take_option(*option, std::nullopt);
    if (!rest.empty() && !take_question("-" + rest)) take_short("-" + rest);
}

void line_reader::take_option(const verb_option& option, const std::optional<std::string>& value) {
    const auto name = long_name(option);
    if (!option.value && value) return fail(misplaced(name, "it takes no value"));
    if (option.value && !value)
        line_.awaits = &option;
    else if (option.value)
        line_.values.by_name[name].push_back(*value);
    else
        line_.values.by_name[name];
}

written_line read_line(std::span<const std::string> words) {
    line_reader reader;
    std::ranges::for_each(words, [&](const std::string& word) { reader.take(word); });
    return reader.line();
}

namespace {

result<invocation> parse(const written_line& line) {
    if (line.fault) return *line.fault;
    if (!line.row) return misplaced({}, "a verb is missing");
    if (line.awaits) return misplaced(long_name(*line.awaits), "it has no value");
    return parse_values(*line.row, line.values);
}

} // namespace

result<invocation> parse_line(const written_line& line) {
    auto asked = parse(line);
    if (asked.has_value()) return asked;
    auto fault = asked.error();
    fault.remedy += (fault.remedy.empty() ? "" : "; ") + std::string("`vmplug ") +
                    (line.row ? line.row->name + std::string(" ") : "") +
                    "--help` shows what is allowed";
    return fault;
}

} // namespace vmplug
