#pragma once

#include "hmp/line_editor.hpp"

#include <vmplug/error.hpp>

#include <chrono>
#include <optional>
#include <string>
#include <string_view>

namespace vmplug::hmp {

/// The longest line that QEMU takes, without its newline.
inline constexpr std::size_t line_bytes_max = 4095;

struct limits {
    std::size_t banner_bytes_max = 65'536;
    std::size_t output_bytes_max = std::size_t{4} << 20;
    std::size_t stray_bytes_max = std::size_t{1} << 20; ///< printed before the echo of our line
};

/// One conversation with a human monitor: one line at a time, and the text that it prints.
///
/// The caller feeds `receive`; when `quiet_time` has a value and no byte has come for that long,
/// the prompt is real and `take_output` gives the reply.
///
/// Errors (`failure`, after which the session is over): `protocol_violation` (no banner within its
/// bounds, a QMP greeting, an echo that never comes), `limit_exceeded` (a reply beyond its bound),
/// `command_failed` (QEMU asks for a password).
class session {
public:
    explicit session(limits bounds = {}) : bounds_(bounds) {}

    void receive(std::string_view bytes);

    /// Begins a line. Returns what to write.
    /// Errors: `invalid_argument` (control bytes, a line that asks for a password), `limit_exceeded` (beyond 4095 bytes).
    result<std::string> begin(std::string_view line);

    /// How long nothing may come until what has come is taken as complete; nothing while it cannot
    /// be complete.
    std::optional<std::chrono::milliseconds> quiet_time() const;

    /// The reply, or the banner at first. Lines end with '\n' alone; the prompt is not in it.
    std::string take_output();

    const std::optional<error>& failure() const { return failure_; }
    bool has_received() const { return has_received_; }

private:
    enum class phase { output, echo };

    void put_echo(char byte);
    void put_output(char byte);
    void check_output();
    void fail(error_code code, std::string text, std::string remedy);

    limits bounds_;
    phase phase_ = phase::output;
    bool greeted_ = false;
    bool has_received_ = false;
    std::string line_;
    line_editor echo_;
    std::size_t stray_bytes_ = 0;
    std::string output_;
    std::optional<error> failure_;
};

/// What `line` has printed, or QEMU's words when they say that it failed (`command_failed`).
result<std::string> judge(std::string_view line, std::string output);

/// QEMU's version in the banner, "7.2.22"; empty when it has none.
std::string parse_version(std::string_view banner);

} // namespace vmplug::hmp
