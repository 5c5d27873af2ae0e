#pragma once

#include <vmplug/error.hpp>
#include <vmplug/outcome.hpp>

#include <chrono>
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

namespace vmplug {

/// Named values of a step: what it is told to do, or what it found before it acted. Text on both
/// sides, so that a record outlives the program that wrote it.
using fields = std::map<std::string, std::string>;

/// The value of a field, empty when it is missing.
const std::string& field(const fields& values, const std::string& name);

/// One act on the host or on the guest, as data. `kind` names its entry among the step kinds.
struct step {
    std::string kind;
    fields arguments;

    bool operator==(const step&) const = default;
};

enum class step_state {
    planned,  ///< not begun
    begun,    ///< its prior state is durable; the act may or may not have happened
    applied,  ///< done and verified
    reverted, ///< undone, or found never done; verified
};

/// The device of the host that a step is about, "0000:01:00.0"; empty: about none. Of every kind it
/// is the argument `device`.
const std::string& device_of(const step& planned);

/// A step with what the journal knows of it.
struct step_record {
    step planned;
    fields prior_state;
    fields findings; ///< what it saw when it was applied, e.g. that the guest configured the device
    step_state state = step_state::planned;
    std::chrono::microseconds duration{0};

    /// It was done, or may have been.
    bool may_stand() const { return state == step_state::begun || state == step_state::applied; }
};

enum class operation_kind { attach, detach, bind, release };

enum class operation_state {
    applying,  ///< going forward
    reverting, ///< going back
    closed,    ///< `ended` tells how; nothing is left to do
};

/// What is done with an operation that fails in its own process.
enum class on_failure {
    roll_back, ///< revert what was done
    hold,      ///< keep what was done; `recover` goes on from there
};

/// Who runs an operation: enough to tell a live process from one whose pid was used again.
struct process_identity {
    std::string boot_id;
    std::int32_t pid = 0;
    std::uint64_t start_time = 0; ///< clock ticks since boot, /proc/PID/stat field 22

    bool operator==(const process_identity&) const = default;
};

/// One operation as the journal keeps it.
///
/// Shape: `subject` says what it is about: `device`, `guest`, `guest_pid`, `monitor`, `id`, `port`.
/// `forward_from`: when a later process finds the operation unfinished, it goes on if the steps up
/// to and including this index are applied, and back otherwise; -1 means always on.
struct operation_record {
    std::int64_t number = 0;
    operation_kind kind = operation_kind::attach;
    operation_state state = operation_state::applying;
    on_failure failure_policy = on_failure::roll_back;
    int forward_from = -1;
    fields subject;
    std::string request_id; ///< the caller's key; empty: none
    std::string asked;      ///< what the key stands for, e.g. "attach web 01:00.0 nic0"
    process_identity runner;
    std::chrono::system_clock::time_point started;
    std::chrono::system_clock::time_point ended_at;
    std::optional<outcome> ended; ///< set when closed, and the latest verdict while it is open
    std::optional<error> failure; ///< why it did not end as `done`
    std::int64_t releases = 0;    ///< of a detach: the attach whose device it takes back
    std::int64_t version = 0;     ///< how often it was saved: an older one is not saved over it
    std::vector<step_record> steps;
};

/// Whether `subject` is about the guest that a person calls `text`: its name, pid or monitor.
bool names_guest(const fields& subject, const std::string& text);

/// The QEMU process that an operation is about, from its subject; pid 0 when it is not known.
process_identity guest_process(const operation_record& record);

std::string_view kind_name(operation_kind value);
std::optional<operation_kind> parse_operation_kind(std::string_view name);
std::string_view state_name(operation_state value);
std::string_view state_name(step_state value);

} // namespace vmplug
