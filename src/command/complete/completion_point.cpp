#include "command/complete/completion_point.hpp"

namespace vmplug {
namespace {

void expect_value(completion_point& point, value_kind kind, const char* choices) {
    point.expects = completion_point::target::value;
    point.kind = kind;
    point.choices = choices;
}

/// `--driver`, or `--driver=vf`.
void end_at_option(completion_point& point, const std::string& word) {
    point.expects = completion_point::target::option_name;
    const auto equals = word.find('=');
    if (equals == word.npos) return;
    const auto* option = find_option(point.row, word.substr(0, equals));
    point.before = word.substr(0, equals + 1);
    point.word = word.substr(equals + 1);
    if (option && option->value)
        expect_value(point, option->kind, option->choices);
    else
        point.expects = completion_point::target::nothing;
}

void end_at(completion_point& point, const written_line& line, const std::string& word) {
    if (line.lost) return;
    if (line.awaits)
        expect_value(point, line.awaits->kind, line.awaits->choices);
    else if (word.starts_with("-") && !line.options_ended)
        end_at_option(point, word);
    else if (!line.row)
        point.expects = completion_point::target::verb_name;
    else if (const auto* argument = line.next_argument())
        expect_value(point, argument->kind, "");
    else if (word.empty())
        point.expects = completion_point::target::option_name;
}

} // namespace

bool completion_point::takes(const verb_option& option) const {
    return option.repeated || !given.has(long_name(option));
}

completion_point find_completion_point(std::span<const std::string> words) {
    completion_point point;
    const auto line = read_line(words.first(words.empty() ? 0 : words.size() - 1));
    point.row = line.row;
    point.given = line.values;
    if (!words.empty()) point.word = words.back();
    end_at(point, line, point.word);
    return point;
}

} // namespace vmplug
