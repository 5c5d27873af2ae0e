#include "hmp/session.hpp"

#include <algorithm>
#include <array>

namespace vmplug::hmp {
namespace {

using std::chrono::milliseconds;

constexpr std::string_view prompt = "(qemu) ";
constexpr std::string_view password_prompt = "Password: ";

/// QEMU prints line by line, so a prompt at the start of a line is nearly always real; one that
/// follows text may be the middle of a line.
constexpr milliseconds quiet_at_line_start{20};
constexpr milliseconds quiet_within_line{300};

/// How much of a line, and of QEMU's words about it, an error carries.
constexpr std::size_t where_max = 60;
constexpr std::size_t words_max = 2000;

bool is_key(char c) {
    const auto byte = static_cast<unsigned char>(c);
    return byte < 0x20 || byte == 0x7f || byte == 0x9b;
}

/// Whether `text` ends with `ending` at the start of a line.
bool ends_with_line(std::string_view text, std::string_view ending) {
    if (!text.ends_with(ending)) return false;
    const auto before = text.size() - ending.size();
    return before == 0 || text[before - 1] == '\n';
}

/// Errors are text, and its form differs between versions.
bool shows_failure(std::string_view line, std::string_view output) {
    const auto begin = output.find_first_not_of(" \n");
    if (begin == output.npos) return false;
    output.remove_prefix(begin);
    const bool asks_for_help = line.find('?') != line.npos || line.ends_with("help");
    if ((line.starts_with("device_add ") || line.starts_with("device_del ")) && !asks_for_help)
        return true;
    constexpr std::array beginnings{"Error: ",           "unknown command: ", "Unknown command",
                                    "Could not ",        "Failed to ",        "failed to ",
                                    "Device '",          "Property '",        "Parameter '",
                                    "Invalid parameter", "invalid char"};
    if (std::ranges::any_of(beginnings, [&](auto each) { return output.starts_with(each); }))
        return true;
    // "info: extraneous characters at the end of line", 'Try "help info" for more information'
    const auto first = output.substr(0, output.find('\n'));
    constexpr std::array endings{"expected", "at the end of line", "not found",
                                 "for more information"};
    return std::ranges::any_of(endings, [&](auto each) { return first.ends_with(each); });
}

} // namespace

void session::fail(error_code code, std::string text, std::string remedy) {
    if (!failure_) failure_ = error{code, "HMP", std::move(text), std::move(remedy)};
    output_.clear();
}

result<std::string> session::begin(std::string_view line) {
    if (failure_) return *failure_;
    if (line.size() > line_bytes_max)
        return error{error_code::limit_exceeded, "HMP",
                     "the line has " + std::to_string(line.size()) + " bytes, and QEMU reads " +
                         std::to_string(line_bytes_max),
                     "make it shorter, or use a QMP monitor"};
    if (std::ranges::any_of(line, is_key))
        return error{error_code::invalid_argument, "HMP",
                     "the line holds a byte that the monitor takes as a key",
                     "leave out control characters (and the byte 0x9b)"};
    // QEMU keeps asking the next client too, and whatever that one sends becomes the password.
    if (line == "change vnc password")
        return error{error_code::invalid_argument, "HMP", "QEMU would ask for the password",
                     "give it in the line: change vnc password SECRET"};
    line_ = line;
    echo_.clear();
    stray_bytes_ = 0;
    output_.clear();
    phase_ = phase::echo;
    return line_ + "\n";
}

void session::receive(std::string_view bytes) {
    has_received_ = has_received_ || !bytes.empty();
    for (const char byte : bytes) {
        if (failure_) return;
        if (phase_ == phase::echo)
            put_echo(byte);
        else
            put_output(byte);
    }
    if (!failure_) check_output();
}

/// Until the newline of our own line's echo. What QEMU printed of itself before it is dropped.
void session::put_echo(char byte) {
    if (byte != '\n') return echo_.put(byte);
    const std::string_view shown = echo_.text();
    const bool after_prompt = shown.starts_with(prompt) && shown.substr(prompt.size()) == line_;
    if (shown == line_ || after_prompt) {
        phase_ = phase::output;
    } else {
        stray_bytes_ += shown.size() + 1;
        if (stray_bytes_ > bounds_.stray_bytes_max)
            fail(error_code::protocol_violation, "the echo of what was sent does not come", {});
    }
    echo_.clear();
}

void session::put_output(char byte) {
    if (byte == '\n' && output_.ends_with('\r')) output_.pop_back();
    output_.push_back(byte);
    if (greeted_ && output_.size() > bounds_.output_bytes_max)
        fail(error_code::limit_exceeded,
             "the reply is longer than " + std::to_string(bounds_.output_bytes_max) + " bytes", {});
    if (!greeted_ && output_.size() > bounds_.banner_bytes_max)
        fail(error_code::protocol_violation, "this does not talk like a human monitor",
             "check that the socket is a monitor's");
}

void session::check_output() {
    if (!greeted_ && output_.starts_with("{\"QMP\""))
        fail(error_code::protocol_violation, "this is a QMP monitor", "name it with qmp:PATH");
    if (phase_ != phase::output || !ends_with_line(output_, password_prompt)) return;
    if (greeted_)
        fail(error_code::command_failed, "QEMU asks for a password, which vmplug does not type",
             "give it in the line itself where the command allows that");
    else
        fail(error_code::monitor_busy,
             "the monitor waits for a password that an earlier client was asked for",
             "connect with another tool (socat) and answer it; Enter alone sets an empty one");
}

std::optional<milliseconds> session::quiet_time() const {
    if (failure_ || phase_ == phase::echo || !output_.ends_with(prompt)) return std::nullopt;
    return ends_with_line(output_, prompt) ? quiet_at_line_start : quiet_within_line;
}

std::string session::take_output() {
    greeted_ = true;
    auto text = std::move(output_);
    output_.clear();
    text.resize(text.size() - prompt.size());
    return text;
}

result<std::string> judge(std::string_view line, std::string output) {
    if (!shows_failure(line, output)) return output;
    output.resize(std::min(output.find_last_not_of('\n') + 1, words_max));
    return error{error_code::command_failed,
                 std::string(line.substr(0, std::min(line.find(','), where_max))),
                 output,
                 {}};
}

std::string parse_version(std::string_view banner) {
    const auto begin = banner.find("QEMU ");
    if (begin == banner.npos) return {};
    const auto text = banner.substr(begin + 5, 64);
    return std::string(text.substr(0, text.find(" monitor")));
}

} // namespace vmplug::hmp
