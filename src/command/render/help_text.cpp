#include "command/render/help_text.hpp"

#include <algorithm>
#include <string_view>

namespace vmplug {
namespace {

constexpr std::size_t column = 28;      ///< where it is said what an option does
constexpr std::size_t verb_column = 16; ///< and a verb

constexpr std::string_view closing =
    "\nEverywhere: --json, --state-dir DIR, -v.\n"
    "Exit codes: 0 done, 1 fault, 2 usage, 3 refused (nothing was touched), 4 rolled back,\n"
    "5 the guest has not let go yet, 6 unknown, 7 stuck. `vmplug VERB --help` tells more.\n";

std::string line(std::string name, std::string_view text, std::size_t at) {
    name.insert(0, "  ");
    name.resize(std::max(name.size() + 2, at), ' ');
    name += text;
    return name.substr(0, name.find_last_not_of(' ') + 1) + "\n";
}

std::string option_line(const verb_option& option) {
    auto name = std::string(option.name);
    if (option.value) name += std::string(" ") + option.value;
    if (option.repeated) name += "...";
    return line(std::move(name), option.help, column);
}

/// How an argument of that kind is written.
std::string_view forms_of(value_kind kind) {
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

std::string argument_name(const verb_argument& argument) {
    return argument.name + std::string(argument.repeated ? "..." : "");
}

std::string usage(const verb& row) {
    auto text = "Usage: vmplug " + std::string(row.name) + " [OPTIONS]";
    for (const auto& each : row.arguments)
        text += each.required ? " " + argument_name(each) : " [" + argument_name(each) + "]";
    return text + "\n";
}

std::string help_line() {
    return line("-h,--help", "what is allowed, with an example", column);
}

} // namespace

std::string help_overview() {
    std::string text = "Hot-adds host PCI devices to live QEMU guests and takes them back.\n"
                       "Usage: vmplug [OPTIONS] VERB\n\nOptions:\n" +
                       help_line() +
                       line("--version", "this version and what it is built on", column);
    for (const auto& each : common_options())
        text += option_line(each);
    text += "\nVerbs:\n";
    for (const auto& row : verbs())
        text += line(row.name, row.summary, verb_column);
    text += closing;
    return text;
}

std::string help_of(const verb& row) {
    auto text = std::string(row.summary) + "\n\n" + row.description +
                "\n\nExample: " + row.example + "\n" + usage(row);
    if (!row.arguments.empty()) text += "\nArguments:\n";
    for (const auto& each : row.arguments)
        text += line(argument_name(each), forms_of(each.kind), column);
    text += "\nOptions:\n" + help_line();
    for (const auto& each : row.options)
        text += option_line(each);
    text += closing;
    return text;
}

} // namespace vmplug
