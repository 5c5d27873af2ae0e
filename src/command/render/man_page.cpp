#include "command/render/man_page.hpp"

#include "command/table/verb.hpp"
#include "command/text/roff_text.hpp"

#include <vmplug/error.hpp>

#include <array>

namespace vmplug {
namespace {

constexpr std::string_view about =
    "vmplug hot-adds PCI devices of this host (NICs first) to QEMU guests that run, takes them "
    "back, and leaves the host as it found it, whatever goes wrong. It speaks QMP with the QEMUs "
    "themselves: there is no daemon and no libvirt.";
constexpr std::string_view promise =
    "Everything is checked first, and what is wrong is said all at once, with a remedy. Each step "
    "is in a journal with what it undoes before it is done: what fails is rolled back, and "
    "`vmplug recover` settles what a kill or a power cut left.";
constexpr std::string_view words =
    "VM is a guest's name, a pid, a monitor's path, `qmp:PATH`, `hmp:PATH`, `tcp:HOST:PORT` or "
    "`hmp:tcp:HOST:PORT`. DEVICE is an address such as 01:00.0, a netdev's name, or VVVV:DDDD "
    "where "
    "it is unique. DURATION is a whole number with ms, s or m, at most 24 hours. What names "
    "something is never empty.";

struct named_text {
    std::string_view name;
    std::string_view text;
};

constexpr std::array exit_statuses{
    named_text{"0", "done: verified, not assumed"},
    named_text{"1", "fault: a bug, or an environment that cannot work"},
    named_text{"2", "usage: nothing was done"},
    named_text{"3", "refused: nothing was touched"},
    named_text{"4", "rolled_back: as before, verified"},
    named_text{"5", "unplug_pending: the guest still has the device; it is tracked"},
    named_text{"6", "unknown: sent and not answered; `vmplug recover` settles it"},
    named_text{"7", "stuck: an undo did not work; the manual commands are printed"},
    named_text{"130", "interrupted: a verb that changes nothing was ended by Ctrl-C or SIGTERM"},
};

constexpr std::array variables{
    named_text{"VMPLUG_STATE_DIR", "where the journal is, if `--state-dir` does not say it"},
    named_text{"NO_COLOR", "if it is not empty: no colours"},
    named_text{"TERM", "dumb, or nothing: no colours"},
    named_text{"LC_ALL, LC_CTYPE, LANG",
               "the first that is set: with UTF-8 in it, trees have lines"},
    named_text{"PAGER",
               "shows what is longer than the terminal at the prompt (less -RX); its words "
               "go to no shell"},
    named_text{"XDG_STATE_HOME", "where the history of the prompt is (HOME/.local/state)"},
};

constexpr std::array files{
    named_text{"/var/lib/vmplug", "the state directory: journal.db (with journal.db-wal and "
                                  "journal.db-shm) says what was done and how to undo it; locks "
                                  "say who works on which device and guest"},
    named_text{"~/.local/state/vmplug/history", "the last 1000 lines of the prompt"},
};

constexpr std::array keys{
    named_text{"Tab", "completes: verbs, QMP commands with their arguments, guests, devices"},
    named_text{"Ctrl-R", "looks for an earlier line; again: an older one"},
    named_text{"Ctrl-C", "gives up the line, or the command that runs; an operation undoes what it "
                         "did first"},
    named_text{"Ctrl-D", "leaves, on an empty line"},
};

constexpr std::array prompt_lines{
    named_text{"use VM", "opens a guest, and means it from now on; its events are shown"},
    named_text{"close", "closes it"},
    named_text{"COMMAND KEY=VALUE...", "a QMP command; `help COMMAND` tells its arguments"},
    named_text{"{...}", "a QMP command as JSON, also over several lines"},
    named_text{"!LINE", "a line of the human monitor; also: hmp LINE"},
    named_text{"VERB ...", "a verb of this page; the guest in use stands for VM"},
    named_text{"help, quit", "what they say"},
};

/// Builds the page line by line.
class page {
public:
    void request(std::string_view name, std::string_view text = {}) {
        text_.append(".").append(name);
        if (!text.empty()) text_.append(" \"").append(escape_roff(text)).append("\"");
        text_ += '\n';
    }
    void line(std::string_view roff) { text_.append(roff).append("\n"); }
    void prose(std::string_view text) { line(format_roff_prose(text)); }

    /// A term, and below it what it means.
    void item(std::string_view roff_term, std::string_view text) {
        request("TP");
        line(roff_term);
        prose(text);
    }
    void command(std::string_view text) {
        request("PP");
        request("RS 4");
        line(roff_bold(text));
        request("RE");
    }
    std::string take() { return std::move(text_); }

private:
    std::string text_;
};

std::string argument_text(const verb_argument& argument) {
    auto text = roff_italic(argument.name);
    if (argument.repeated) text += "...";
    return argument.required ? text : "[" + text + "]";
}

std::string option_text(const verb_option& option) {
    std::string text;
    const std::string_view name = option.name;
    const auto comma = name.find(',');
    if (comma != name.npos) text = roff_bold(name.substr(0, comma)) + ", ";
    text += roff_bold(long_name(option));
    return option.value ? text + " " + roff_italic(option.value) : text;
}

std::string synopsis(const verb& row) {
    auto text = roff_bold(std::string("vmplug ") + row.name);
    for (const auto& argument : row.arguments)
        text += " " + argument_text(argument);
    for (const auto& option : row.options)
        text += " [" + option_text(option) + "]" + (option.repeated ? "..." : "");
    return text;
}

void write_front(page& to) {
    to.request("SH", "NAME");
    to.line("vmplug \\- hot\\-add PCI devices of a host to live QEMU guests and take them back");
    to.request("SH", "SYNOPSIS");
    to.line(roff_bold("vmplug") + " " + roff_italic("VERB") + " [" + roff_italic("ARGUMENT") +
            "...] [" + roff_italic("OPTION") + "...]");
    to.request("br");
    to.line(roff_bold("vmplug") + " [" + roff_italic("VERB") + "] " + roff_bold("--help"));
    to.request("br");
    to.line(roff_bold("vmplug --version"));
    to.request("SH", "DESCRIPTION");
    to.prose(about);
    to.request("PP");
    to.prose(promise);
    to.request("PP");
    to.prose(words);
}

void write_verb(page& to, const verb& row) {
    to.request("SS", row.name);
    to.line(synopsis(row));
    to.request("PP");
    to.prose(row.description);
    for (const auto& option : row.options)
        to.item(option_text(option), option.help);
    to.request("PP");
    to.line("Example:");
    to.command(row.example);
}

void write_list(page& to, std::string_view title, std::span<const named_text> rows) {
    to.request("SH", title);
    for (const auto& each : rows)
        to.item(roff_bold(each.name), each.text);
}

void write_errors(page& to) {
    to.request("SH", "ERRORS");
    to.line("A failure has a code; vmplug explain tells its remedy, too:");
    for (const auto& each : error_catalogue())
        to.item(roff_bold(each.name), each.cause);
}

void write_back(page& to) {
    write_list(to, "THE PROMPT", prompt_lines);
    for (const auto& each : keys)
        to.item(roff_bold(each.name), each.text);
    write_list(to, "EXIT STATUS", exit_statuses);
    write_errors(to);
    write_list(to, "ENVIRONMENT", variables);
    write_list(to, "FILES", files);
    to.request("SH", "EXAMPLES");
    to.line("What is there, what would be done, and then do it:");
    for (const auto* each : {"vmplug check 01:00.0 --vm web", "vmplug attach web 01:00.0 --dry-run",
                             "vmplug attach web 01:00.0 --id nic0", "vmplug detach web nic0"})
        to.command(each);
    to.request("PP");
    to.line("In a script:");
    to.command("vmplug attach web 01:00.0 --request-id order-17 --json");
    to.request("SH", "SEE ALSO");
    to.line("\\fBqemu\\fR(1), \\fBlspci\\fR(8)");
}

} // namespace

std::string man_page(std::string_view version) {
    page to;
    to.line(".TH VMPLUG 1 \"\" \"vmplug " + escape_roff(version) + "\" \"User Commands\"");
    write_front(to);
    to.request("SH", "VERBS");
    for (const auto& row : verbs())
        write_verb(to, row);
    to.request("SH", "OPTIONS");
    to.line("Every verb takes these:");
    for (const auto& option : common_options())
        to.item(option_text(option), option.help);
    write_back(to);
    return to.take();
}

} // namespace vmplug
