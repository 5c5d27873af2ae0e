#include "plan/plan_return.hpp"

#include <algorithm>

namespace vmplug {
namespace {

std::string value_of(const fields& values, const char* key) {
    const auto found = values.find(key);
    return found == values.end() ? std::string() : found->second;
}

std::optional<int> group_of(const situation& seen, const std::string& device) {
    const auto address = parse_host_address(device);
    const auto* function = address.has_value() ? seen.host.find(*address) : nullptr;
    return function ? function->iommu_group : std::nullopt;
}

bool is_binding(const step_record& step) {
    return step.planned.kind == step_kind::set_binding && step.state == step_state::applied;
}

/// Lowers the limit again, unless another device of the same QEMU needs it.
void add_memlock_return(const operation_record& attach, const situation& seen, plan& made) {
    const bool needed = std::ranges::any_of(seen.assigned, [&](const operation_record& other) {
        return other.number != attach.number &&
               value_of(other.subject, "guest_pid") == value_of(attach.subject, "guest_pid") &&
               value_of(other.subject, "guest_start") == value_of(attach.subject, "guest_start");
    });
    if (needed) return;
    for (const auto& step : attach.steps) {
        if (step.planned.kind != step_kind::set_memlock || step.state != step_state::applied)
            continue;
        auto arguments = step.planned.arguments;
        arguments.erase("size_bytes");
        arguments["soft_bytes"] = value_of(step.prior_state, "soft_bytes");
        arguments["hard_bytes"] = value_of(step.prior_state, "hard_bytes");
        made.steps.push_back({step_kind::set_memlock, std::move(arguments)});
    }
}

} // namespace

std::vector<step> plan_binding_return(const operation_record& attach) {
    std::vector<step> steps;
    for (auto each = attach.steps.rbegin(); each != attach.steps.rend(); ++each) {
        const auto& taken = *each;
        if (!is_binding(taken)) continue;
        steps.push_back({step_kind::set_binding,
                         {{"device", value_of(taken.planned.arguments, "device")},
                          {"driver", value_of(taken.prior_state, "driver")},
                          {"driver_override", value_of(taken.prior_state, "driver_override")},
                          {"netdev", value_of(taken.prior_state, "netdev")}}});
    }
    return steps;
}

const operation_record* find_sharer(const operation_record& attach, const situation& seen) {
    const auto group = group_of(seen, value_of(attach.subject, "device"));
    if (!group) return nullptr;
    const auto found = std::ranges::find_if(seen.assigned, [&](const operation_record& other) {
        return other.number != attach.number && other.kind == operation_kind::attach &&
               group_of(seen, value_of(other.subject, "device")) == group;
    });
    return found == seen.assigned.end() ? nullptr : &*found;
}

std::vector<step_record> hand_over(const operation_record& from, const operation_record& to) {
    std::vector<step_record> steps;
    for (const auto& step : from.steps) {
        const auto has_it = [&](const step_record& other) {
            return is_binding(other) && value_of(other.planned.arguments, "device") ==
                                            value_of(step.planned.arguments, "device");
        };
        if (is_binding(step) && std::ranges::none_of(to.steps, has_it)) steps.push_back(step);
    }
    return steps;
}

plan plan_release(const operation_record& bound, const situation& seen) {
    plan made;
    made.failure_policy = on_failure::hold;
    made.subject = bound.subject;
    const auto device = value_of(bound.subject, "device");
    const auto group = group_of(seen, device);
    const auto users = group ? seen.host.group_users.find(*group) : seen.host.group_users.end();
    if (users != seen.host.group_users.end()) {
        made.refusals.push_back(
            {error_code::device_assigned, device,
             "process " + std::to_string(users->second.front().pid) +
                 " has its IOMMU group open: " + users->second.front().command.substr(0, 60),
             "detach it there first, or end that process"});
        return made;
    }
    made.steps = plan_binding_return(bound);
    return made;
}

plan plan_detach(const detach_request& request, const operation_record& attach,
                 const situation& seen) {
    plan made;
    made.failure_policy = on_failure::hold;
    made.subject = attach.subject;
    made.steps.push_back(
        {step_kind::device_del,
         {{"id", request.id}, {"wait_ms", std::to_string(request.wait_guest.count())}}});
    if (const auto* sharer = find_sharer(attach, seen)) {
        made.notes.push_back("the group stays with " + value_of(sharer->subject, "id") +
                             "; the last device of it to leave takes the others home");
    } else if (!request.keep_bound) {
        for (auto& step : plan_binding_return(attach))
            made.steps.push_back(std::move(step));
    }
    add_memlock_return(attach, seen, made);
    return made;
}

} // namespace vmplug
