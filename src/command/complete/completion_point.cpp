#include "command/complete/completion_point.hpp"

#include <algorithm>
#include <utility>

namespace vmplug {
namespace {

/// Walks over the words that are written.
class reader {
public:
    void pass(const std::string& word) {
        if (pending_)
            point_.given.values[long_name(*std::exchange(pending_, nullptr))].push_back(word);
        else if (word.starts_with("-"))
            pass_option(word);
        else if (point_.row)
            pass_argument(word);
        else if (point_.row = find_verb(word); !point_.row)
            lost_ = true;
    }

    completion_point end_at(const std::string& word) {
        point_.word = word;
        if (lost_) return point_;
        if (pending_)
            expect_value(pending_->kind, pending_->choices);
        else if (word.starts_with("-"))
            end_at_option(word);
        else if (!point_.row)
            point_.expects = completion_point::target::verb_name;
        else if (next_ < point_.row->arguments.size())
            expect_value(point_.row->arguments[next_].kind, "");
        else if (word.empty())
            point_.expects = completion_point::target::option_name;
        return point_;
    }

private:
    const verb_option* find_option(std::string_view name) const {
        const auto named = [&](const verb_option& each) { return long_name(each) == name; };
        if (point_.row) {
            const auto& own = point_.row->options;
            if (const auto found = std::ranges::find_if(own, named); found != own.end())
                return &*found;
        }
        const auto common = common_options();
        const auto found = std::ranges::find_if(common, named);
        return found == common.end() ? nullptr : &*found;
    }

    void pass_option(const std::string& word) {
        const auto equals = word.find('=');
        const auto* option = find_option(word.substr(0, equals));
        if (!option) return;
        auto& values = point_.given.values[long_name(*option)];
        if (!option->value) return;
        if (equals == word.npos)
            pending_ = option;
        else
            values.push_back(word.substr(equals + 1));
    }

    void pass_argument(const std::string& word) {
        if (next_ >= point_.row->arguments.size()) return;
        const auto& argument = point_.row->arguments[next_];
        point_.given.values[argument.name].push_back(word);
        if (!argument.repeated) ++next_;
    }

    void end_at_option(const std::string& word) {
        point_.expects = completion_point::target::option_name;
        const auto equals = word.find('=');
        if (equals == word.npos) return;
        const auto* option = find_option(word.substr(0, equals));
        point_.before = word.substr(0, equals + 1);
        point_.word = word.substr(equals + 1);
        if (option && option->value)
            expect_value(option->kind, option->choices);
        else
            point_.expects = completion_point::target::nothing;
    }

    void expect_value(value_kind kind, const char* choices) {
        point_.expects = completion_point::target::value;
        point_.kind = kind;
        point_.choices = choices;
    }

    completion_point point_;
    const verb_option* pending_ = nullptr; ///< its value comes next
    std::size_t next_ = 0;                 ///< which argument comes next
    bool lost_ = false;                    ///< there is no such verb
};

} // namespace

bool completion_point::takes(const verb_option& option) const {
    return option.repeated || !given.has(long_name(option));
}

completion_point find_completion_point(std::span<const std::string> words) {
    reader line;
    if (words.empty()) return line.end_at("");
    for (const auto& word : words.first(words.size() - 1))
        line.pass(word);
    return line.end_at(words.back());
}

} // namespace vmplug
