#include <vmplug/operation.hpp>
#include <vmplug/plan.hpp>

#include <array>
#include <charconv>

namespace vmplug {
namespace {

constexpr std::array<std::string_view, 4> operation_kinds{"attach", "detach", "bind", "release"};
constexpr std::array<std::string_view, 3> operation_states{"applying", "reverting", "closed"};
constexpr std::array<std::string_view, 4> step_states{"planned", "begun", "applied", "reverted"};

} // namespace

std::string_view kind_name(operation_kind value) {
    return operation_kinds[static_cast<std::size_t>(value)];
}

std::optional<operation_kind> parse_operation_kind(std::string_view name) {
    for (std::size_t i = 0; i < operation_kinds.size(); ++i)
        if (operation_kinds[i] == name) return static_cast<operation_kind>(i);
    return std::nullopt;
}

std::string_view state_name(operation_state value) {
    return operation_states[static_cast<std::size_t>(value)];
}

std::string_view state_name(step_state value) {
    return step_states[static_cast<std::size_t>(value)];
}

const std::string& field(const fields& values, const std::string& name) {
    static const std::string none;
    const auto found = values.find(name);
    return found == values.end() ? none : found->second;
}

const std::string& device_of(const step& planned) {
    return field(planned.arguments, "device");
}

bool names_guest(const fields& subject, const std::string& text) {
    const auto& monitor = field(subject, "monitor");
    if (text.empty()) return false;
    return field(subject, "guest") == text || field(subject, "guest_pid") == text ||
           monitor == text || monitor == "qmp:" + text || monitor == "hmp:" + text;
}

process_identity guest_process(const operation_record& record) {
    process_identity identity;
    const auto number = [&](const char* name, auto& into) {
        const auto& text = field(record.subject, name);
        std::from_chars(text.data(), text.data() + text.size(), into);
    };
    identity.boot_id = field(record.subject, "boot_id");
    number("guest_pid", identity.pid);
    number("guest_start", identity.start_time);
    return identity;
}

operation_record make_record(operation_kind kind, const plan& planned) {
    operation_record record;
    record.kind = kind;
    record.failure_policy = planned.failure_policy;
    record.forward_from = planned.forward_from;
    record.subject = planned.subject;
    for (const auto& each : planned.steps) {
        step_record step;
        step.planned = each;
        record.steps.push_back(std::move(step));
    }
    return record;
}

} // namespace vmplug
