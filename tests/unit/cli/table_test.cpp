#include "cli/command_line.hpp"
#include "command/complete/completion.hpp"
#include "command/handle/handlers.hpp"
#include "command/render/man_page.hpp"
#include "command/render/renderers.hpp"
#include "command/text/roff_text.hpp"

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/io_context.hpp>
#include <doctest/doctest.h>
#include <nlohmann/json.hpp>

#include <algorithm>
#include <set>
#include <sstream>

// The table's self-test: what is said of a verb has to hold wherever it is said.

using namespace vmplug;

namespace {

/// `words` begin with the program's name.
command_line parse(const std::vector<std::string>& words) {
    return parse_command_line({words.begin() + 1, words.end()});
}

command_line parse(const std::string& line) {
    std::vector<std::string> words;
    std::istringstream stream(line);
    for (std::string word; stream >> word;)
        words.push_back(word);
    return parse(words);
}

std::vector<std::string> offered(std::vector<std::string> words) {
    controller_options options;
    options.state_directory = "/nonexistent";
    const controller control(options);
    std::vector<std::string> texts;
    boost::asio::io_context io{1};
    boost::asio::co_spawn(io, complete(control, find_completion_point(words)),
                          [&](std::exception_ptr failed, std::vector<candidate> found) {
                              REQUIRE_FALSE(failed);
                              for (const auto& each : found)
                                  texts.push_back(each.text);
                          });
    io.run();
    return texts;
}

bool offers(const std::vector<std::string>& texts, const std::string& wanted) {
    return std::ranges::find(texts, wanted) != texts.end();
}

bool is_sentence(const std::string& text) {
    return text.size() > 10 && text.back() == '.';
}

} // namespace

TEST_CASE("every verb is described, runs and renders") {
    std::set<std::string> names;
    for (const auto& row : verbs()) {
        CAPTURE(row.name);
        CHECK(names.insert(row.name).second);
        CHECK(std::string(row.summary).size() > 5);
        CHECK(is_sentence(row.description));
        // The prompt is run by the program itself.
        const bool interactive = std::string(row.name) == "repl";
        CHECK((find_handler(row) != nullptr) != interactive);
        CHECK((find_renderer(row) != nullptr) != interactive);
        for (const auto& option : row.options)
            CHECK(std::string(option.help).size() > 5);
        const auto repeated = std::ranges::find_if(row.arguments, &verb_argument::repeated);
        CHECK(row.arguments.end() - repeated <= 1); // only the last one
    }
}

TEST_CASE("every verb's example is parsed as that verb, with all that it shows") {
    for (const auto& row : verbs()) {
        CAPTURE(row.example);
        const auto parsed = parse(row.example);
        CHECK_FALSE(parsed.ended);
        CHECK(parsed.asked == &row);
        for (const auto& argument : row.arguments)
            if (argument.required) CHECK(parsed.values.has(argument.name));
    }
}

TEST_CASE("every verb has help of its own") {
    for (const auto& row : verbs()) {
        CAPTURE(row.name);
        const auto parsed = parse(std::string("vmplug ") + row.name + " --help");
        REQUIRE(parsed.ended);
        CHECK(parsed.ended->exit_code == 0);
        const auto& help = parsed.ended->output;
        for (const std::string said : {row.summary, row.description, row.example})
            CHECK_MESSAGE(help.find(said) != help.npos, said);
        for (const auto& option : row.options)
            CHECK_MESSAGE(help.find(long_name(option)) != help.npos, option.name);
    }
}

TEST_CASE("every verb and all that it takes is in the manual page") {
    const auto page = man_page("1.2.3");
    for (const auto& row : verbs()) {
        CAPTURE(row.name);
        const auto begin = page.find(".SS \"" + escape_roff(row.name) + "\"\n");
        REQUIRE(begin != page.npos);
        const auto section = page.substr(begin, page.find("\n.S", begin + 1) - begin);
        CHECK(section.find(format_roff_prose(row.description)) != section.npos);
        CHECK(section.find(roff_bold(row.example)) != section.npos);
        for (const auto& argument : row.arguments)
            CHECK(section.find(roff_italic(argument.name)) != section.npos);
        for (const auto& option : row.options) {
            CHECK(section.find(roff_bold(long_name(option))) != section.npos);
            CHECK(section.find(format_roff_prose(option.help)) != section.npos);
        }
    }
}

TEST_CASE("every verb, its options and its choices are completed") {
    for (const auto& row : verbs()) {
        CAPTURE(row.name);
        CHECK(offers(offered({""}), row.name));
        const auto options = offered({row.name, "-"});
        for (const auto& option : row.options) {
            CHECK(offers(options, long_name(option)));
            if (option.kind != value_kind::choice) continue;
            for (const auto& choice : offered({row.name, option.name, ""}))
                CHECK_MESSAGE(std::string(option.help).find(choice) != std::string::npos, choice);
        }
        for (const auto& option : common_options())
            CHECK(offers(options, long_name(option)));
    }
    CHECK(offers(offered({"explain", ""}), "no_free_port"));
    CHECK(offered({"attach", "web", "01:00.0", "--wait-guest", "5"}) ==
          std::vector<std::string>{"5ms", "5s", "5m"});
}

namespace {

void check_kind(const verb_option& option) {
    CAPTURE(option.name);
    CHECK((option.value != nullptr) == (option.kind != value_kind::none));
    CHECK((option.kind == value_kind::choice) == (option.choices[0] != '\0'));
}

} // namespace

TEST_CASE("options that take a value have a kind, so that it is known what they can be") {
    std::ranges::for_each(common_options(), check_kind);
    for (const auto& row : verbs())
        std::ranges::for_each(row.options, check_kind);
}

namespace {

using words = std::vector<std::string>;

/// A value that has the form of its kind.
std::string right_value(value_kind kind, const std::string& choices) {
    if (kind == value_kind::duration) return "5s";
    if (kind == value_kind::number) return "7";
    if (kind == value_kind::choice) return choices.substr(0, choices.find('|'));
    return "b-\u00e4=2";
}

/// A command line with all of the verb's arguments, one of them or one option being `value`.
words line_with(const verb& row, const std::string& name, const std::string& value) {
    words line{"vmplug", row.name, "--json"};
    for (const auto& argument : row.arguments)
        line.push_back(argument.name == name ? value : right_value(argument.kind, {}));
    if (name.starts_with("-")) line.insert(line.end(), {name, value});
    return line;
}

void expect_misuse(const words& line, const std::string& name) {
    CAPTURE(line);
    const auto parsed = parse(line);
    REQUIRE(parsed.ended);
    CHECK(parsed.ended->exit_code == 2);
    const auto answer = nlohmann::json::parse(parsed.ended->output);
    CHECK(answer["outcome"] == "usage");
    CHECK(answer["error"]["code"] == "invalid_argument");
    CHECK(answer["error"]["where"] == name);
    CHECK(parsed.ended->failure.find(name + ": it ") != std::string::npos);
}

bool names_nothing_else(value_kind kind) {
    return kind != value_kind::none && kind != value_kind::anything;
}

struct value_of_verb {
    std::string name;
    value_kind kind;
    std::string choices = {};
};

/// What a verb and everybody takes.
std::vector<value_of_verb> values_of(const verb& row) {
    std::vector<value_of_verb> all;
    for (const auto& argument : row.arguments)
        all.push_back({argument.name, argument.kind});
    for (const auto& option : row.options)
        all.push_back({long_name(option), option.kind, option.choices});
    for (const auto& option : common_options())
        all.push_back({long_name(option), option.kind});
    return all;
}

} // namespace

TEST_CASE("what names something cannot be empty, blank or of several lines, in no verb") {
    for (const auto& row : verbs())
        for (const auto& [name, kind, choices] : values_of(row)) {
            if (!names_nothing_else(kind)) continue;
            for (const std::string wrong : {"", " ", "\t \n", "a\nb", "a\rb"})
                expect_misuse(line_with(row, name, wrong), name);
            if (kind != value_kind::words) expect_misuse(line_with(row, name, "a\x1b[2J"), name);
            if (!name.starts_with("--")) continue;
            // Not the word behind it.
            auto line = line_with(row, {}, {});
            line.insert(line.begin() + 2, name + "=");
            expect_misuse(line, name);
        }
}

TEST_CASE("what may be empty is a decision") {
    std::set<std::string> may_be;
    for (const auto& row : verbs())
        for (const auto& [name, kind, choices] : values_of(row))
            if (kind == value_kind::anything) may_be.insert(row.name + (" " + name));
    CHECK(may_be == std::set<std::string>{"qmp KEY=VALUE", "repl -c"});
}

TEST_CASE("a value that is right is let through") {
    for (const auto& row : verbs())
        for (const auto& [name, kind, choices] : values_of(row)) {
            if (kind == value_kind::none) continue;
            const auto line = line_with(row, name, right_value(kind, choices));
            CAPTURE(line);
            CHECK_FALSE(parse(line).ended);
        }
    CHECK_FALSE(parse(words{"vmplug", "hmp", "web", "change", "vnc", ""}).ended);
    CHECK_FALSE(parse(words{"vmplug", "qmp", "web", "x", "a=\nb"}).ended);
}

TEST_CASE("an empty verb is none") {
    CHECK(parse(words{"vmplug", ""}).ended->failure.find("there is no verb ''") !=
          std::string::npos);
}
