#include "cli/command_line.hpp"

#include "command/handle/command_result.hpp"
#include "command/render/error_text.hpp"
#include "command/table/check_values.hpp"
#include "command/text/printable_json.hpp"

#include <CLI/CLI.hpp>

#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <optional>

namespace vmplug {
namespace {

constexpr std::size_t shown_max = 200;

/// The overview has one line for each verb; a verb's own help tells all.
class overview_formatter : public CLI::Formatter {
public:
    std::string make_subcommand(const CLI::App* command) const override {
        const auto description = command->get_description();
        const auto summary = description.substr(0, description.find('\n'));
        auto name = "  " + command->get_name();
        name.resize(std::max<std::size_t>(name.size() + 2, 16), ' ');
        return name + summary + "\n";
    }
};

/// Where CLI11 puts the values of one verb.
struct verb_values {
    std::map<std::string, std::vector<std::string>> texts;
    std::map<std::string, bool> flags;
};

void add_option(CLI::App& command, const verb_option& row, verb_values& values) {
    const auto name = long_name(row);
    if (!row.value) {
        command.add_flag(row.name, values.flags[name], row.help);
        return;
    }
    auto* option = command.add_option(row.name, values.texts[name], row.help);
    option->type_name(row.value)->allow_extra_args(false);
    if (row.repeated)
        option->expected(1, 1000)->multi_option_policy(CLI::MultiOptionPolicy::TakeAll);
    else
        option->expected(1);
}

/// How an argument of that kind is written, for help.
const char* forms_of(value_kind kind) {
    switch (kind) {
    case value_kind::vm:
        return "a name, a pid, a monitor's path, qmp:PATH, hmp:PATH or tcp:HOST:PORT";
    case value_kind::device:
        return "01:00.0, a network interface, or VVVV:DDDD where it is unique";
    case value_kind::assigned_id:
        return "as `vmplug list` shows it";
    case value_kind::error_code:
        return "as an error shows it";
    default:
        return "";
    }
}

void add_options(CLI::App& command, const verb& row, verb_values& values) {
    for (const auto& argument : row.arguments) {
        auto* option =
            command.add_option(argument.name, values.texts[argument.name], forms_of(argument.kind));
        option->required(argument.required)->type_name("");
        option->expected(argument.repeated ? -1 : 1);
        // QMP values are taken as they are: a bracket begins a JSON array and no list of ours.
        option->allow_extra_args(argument.repeated);
    }
    for (const auto& each : row.options)
        add_option(command, each, values);
}

void take_common(const verb_values& values, command_line& parsed) {
    parsed.json = values.flags.at("--json");
    parsed.verbose = values.flags.at("--verbose") ? 1 : 0;
    const auto& directory = values.texts.at("--state-dir");
    if (!directory.empty()) parsed.state_directory = directory.back();
}

std::string verb_description(const verb& row) {
    return std::string(row.summary) + "\n\n" + row.description + "\n\nExample: " + row.example;
}

std::string exit_codes_text() {
    return "Everywhere: --json, --state-dir DIR, -v.\n"
           "Exit codes: 0 done, 1 fault, 2 usage, 3 refused (nothing was touched), 4 rolled back,\n"
           "5 the guest has not let go yet, 6 unknown, 7 stuck. `vmplug VERB --help` tells more.";
}

void take_values(const verb_values& values, invocation& into) {
    for (const auto& [name, texts] : values.texts)
        if (!texts.empty()) into.values[name] = texts;
    for (const auto& [name, set] : values.flags)
        if (set) into.values[name] = {};
}

/// The first word that is no option, if no verb has that name.
std::optional<std::string> unknown_verb(int argc, char** argv) {
    for (int i = 1; i < argc; ++i) {
        if (std::strcmp(argv[i], "--state-dir") == 0) {
            ++i;
            continue;
        }
        if (argv[i][0] == '-') continue;
        return find_verb(argv[i]) ? std::nullopt : std::optional<std::string>(argv[i]);
    }
    return std::nullopt;
}

/// For an option that is not known: CLI11 names it behind the last colon.
std::string meant_option(const CLI::ParseError& wrong, const std::vector<CLI::App*>& chosen) {
    const std::string text = wrong.what();
    const auto dashes = text.rfind("--");
    if (wrong.get_exit_code() != static_cast<int>(CLI::ExitCodes::ExtrasError) || chosen.empty() ||
        dashes == text.npos)
        return {};
    std::vector<std::string> names;
    for (const auto& each : find_verb(chosen.front()->get_name())->options)
        names.push_back(long_name(each));
    for (const auto& each : common_options())
        names.push_back(long_name(each));
    return did_you_mean(text.substr(dashes), names);
}

/// `help_of`: the verb with a space after it, or nothing.
command_line::ending usage_error(const command_line& parsed, error wrong,
                                 const std::string& help_of) {
    wrong.code = error_code::invalid_argument;
    wrong.text = wrong.text.substr(0, shown_max);
    const auto help = "`vmplug " + help_of + "--help` shows what is allowed";
    wrong.remedy += (wrong.remedy.empty() ? "" : "; ") + help;
    const auto answer = misused(wrong);
    command_line::ending ended{answer.exit_code, {}, render_error(answer.value["error"])};
    if (parsed.json) ended.output = json_line(answer.value);
    return ended;
}

/// An option without a value, written `--id=`: CLI11 would take the next word for it.
std::optional<error> find_bare_equals(int argc, char** argv) {
    for (int i = 1; i < argc && std::strcmp(argv[i], "--") != 0; ++i) {
        const std::string word = argv[i];
        if (!word.starts_with("--") || word.find('=') != word.size() - 1) continue;
        const std::vector<std::string> nothing(1);
        return find_fault(word.substr(0, word.size() - 1), value_kind::text, nothing);
    }
    return std::nullopt;
}

/// What CLI11 would not say, or say in other words.
std::optional<error> find_bad_word(int argc, char** argv) {
    const auto wrong = unknown_verb(argc, argv);
    if (!wrong) return find_bare_equals(argc, argv);
    std::vector<std::string> names;
    for (const auto& row : verbs())
        names.emplace_back(row.name);
    return error{error_code::invalid_argument,
                 {},
                 "there is no verb '" + wrong->substr(0, 60) + "'" + did_you_mean(*wrong, names),
                 {}};
}

/// What is wrong with values that stand where they may.
std::optional<error> find_fault(const verb& row, const invocation& given,
                                const verb_values& common) {
    for (const auto& each : common_options()) {
        const auto found = common.texts.find(long_name(each));
        if (found == common.texts.end()) continue;
        if (auto fault = find_fault(found->first, each.kind, found->second)) return fault;
    }
    return find_fault(row, given);
}

} // namespace

command_line parse_command_line(int argc, char** argv) {
    command_line parsed;
    if (const char* directory = std::getenv("VMPLUG_STATE_DIR")) parsed.state_directory = directory;
    CLI::App app("Hot-adds host PCI devices to live QEMU guests and takes them back.", "vmplug");
    app.set_version_flag("--version",
                         std::string("vmplug " VMPLUG_VERSION "\nbuilt on " VMPLUG_BUILT_ON));
    app.footer(exit_codes_text());
    app.fallthrough();
    auto formatter = std::make_shared<overview_formatter>();
    formatter->column_width(28);
    formatter->label("SUBCOMMAND", "VERB");
    formatter->label("Subcommands", "Verbs");
    app.formatter(formatter);
    app.require_subcommand(1);
    verb_values common;
    for (const auto& each : common_options())
        add_option(app, each, common);
    std::map<const CLI::App*, std::pair<const verb*, verb_values>> commands;
    for (const auto& row : verbs()) {
        auto* command = app.add_subcommand(row.name, verb_description(row))->group("Verbs");
        auto& [known, values] = commands[command];
        known = &row;
        add_options(*command, row, values);
    }
    parsed.json = std::any_of(argv, argv + argc,
                              [](const char* each) { return std::strcmp(each, "--json") == 0; });
    if (auto wrong = find_bad_word(argc, argv)) {
        parsed.ended = usage_error(parsed, std::move(*wrong), "");
        return parsed;
    }
    try {
        app.parse(argc, argv);
    } catch (const CLI::Success& asked_for) {
        std::ostringstream output, nothing;
        app.exit(asked_for, output, nothing);
        parsed.ended = command_line::ending{0, output.str(), {}};
        return parsed;
    } catch (const CLI::ParseError& wrong) {
        const auto chosen = app.get_subcommands();
        const auto verb_name = chosen.empty() ? "" : chosen.front()->get_name() + " ";
        const bool nothing = argc == 1;
        parsed.ended =
            nothing ? command_line::ending{2, {}, app.help()}
                    : usage_error(parsed, {{}, {}, wrong.what() + meant_option(wrong, chosen), {}},
                                  verb_name);
        return parsed;
    }
    const auto& [row, values] = commands.at(app.get_subcommands().front());
    parsed.asked = row;
    take_values(values, parsed.values);
    if (auto wrong = find_fault(*row, parsed.values, common))
        parsed.ended = usage_error(parsed, std::move(*wrong), row->name + std::string(" "));
    take_common(common, parsed);
    return parsed;
}

} // namespace vmplug
