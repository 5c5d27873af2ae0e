#include "plan/plan_return.hpp"

#include <algorithm>
#include <charconv>
#include <map>

namespace vmplug {
namespace {

bool is_binding(const step_record& step) {
    return step.planned.kind == step_kind::set_binding &&
           (step.state == step_state::begun || step.state == step_state::applied);
}

error unsettled(const operation_record& record, const std::string& device) {
    return {error_code::operation_conflict,
            device,
            "operation " + std::to_string(record.number) + " (" +
                std::string(kind_name(record.kind)) + " of " + field(record.subject, "device") +
                ") is not settled",
            {}};
}

bool is_raised_limit(const step_record& step) {
    return step.planned.kind == step_kind::set_memlock &&
           (step.state == step_state::begun || step.state == step_state::applied);
}

/// Whether the guest may have the device still. What takes it back says when it has let go.
bool may_be_in_guest(const operation_record& attach, const situation& seen) {
    if (attach.state != operation_state::closed)
        return std::ranges::any_of(attach.steps, [](const step_record& each) {
            return each.planned.kind == step_kind::device_add &&
                   (each.state == step_state::begun || each.state == step_state::applied);
        });
    return std::ranges::none_of(seen.open, [&](const operation_record& other) {
        return other.releases == attach.number && !other.steps.empty() &&
               other.steps.front().state == step_state::applied;
    });
}

/// Puts the limit back, unless another device of the same QEMU needs it.
void add_memlock_return(const operation_record& attach, const situation& seen,
                        std::vector<step>& home) {
    if (find_limit_sharer(attach, seen)) return;
    for (const auto& step : attach.steps) {
        if (!is_raised_limit(step)) continue;
        auto arguments = step.planned.arguments;
        arguments.erase("size_bytes");
        arguments["soft_bytes"] = field(step.prior_state, "soft_bytes");
        arguments["hard_bytes"] = field(step.prior_state, "hard_bytes");
        home.push_back({step_kind::set_memlock, std::move(arguments)});
    }
}

/// Those steps of `from` that `to` has not got.
std::vector<step_record> missing_steps(const operation_record& from, const operation_record& to,
                                       bool (*wanted)(const step_record&)) {
    std::vector<step_record> steps;
    for (const auto& step : from.steps) {
        const auto has_it = [&](const step_record& other) {
            return wanted(other) && field(other.planned.arguments, "device") ==
                                        field(step.planned.arguments, "device");
        };
        if (!wanted(step) || std::ranges::any_of(to.steps, has_it)) continue;
        steps.push_back(step);
        // Whether it was done in the end: who takes it over puts back what was before.
        steps.back().state = step_state::applied;
    }
    return steps;
}

std::uint64_t soft_limit(const step_record& step) {
    const auto& text = field(step.prior_state, "soft_bytes");
    std::uint64_t bytes = ~std::uint64_t{0};
    std::from_chars(text.data(), text.data() + text.size(), bytes);
    return bytes;
}

/// Of a limit that was raised twice, the lower one is what the process began with.
bool keep_lower_limit(const operation_record& from, operation_record& heir) {
    const auto given = std::ranges::find_if(from.steps, is_raised_limit);
    const auto own = std::ranges::find_if(heir.steps, is_raised_limit);
    if (given == from.steps.end() || own == heir.steps.end()) return false;
    if (soft_limit(*given) >= soft_limit(*own)) return false;
    own->prior_state = given->prior_state;
    return true;
}

void put_first(operation_record& heir, const std::vector<step_record>& steps) {
    heir.steps.insert(heir.steps.begin(), steps.begin(), steps.end());
    heir.forward_from += static_cast<int>(steps.size());
}

} // namespace

const operation_record* find_limit_sharer(const operation_record& attach, const situation& seen) {
    const auto shares = [&](const operation_record& other) {
        return other.number != attach.number && other.kind == operation_kind::attach &&
               guest_process(other) == guest_process(attach) && may_be_in_guest(other, seen);
    };
    for (const auto* records : {&seen.assigned, &seen.open}) {
        const auto found = std::ranges::find_if(*records, shares);
        if (found != records->end()) return &*found;
    }
    return nullptr;
}

std::vector<step> plan_binding_return(const operation_record& attach) {
    std::vector<step> steps;
    for (auto each = attach.steps.rbegin(); each != attach.steps.rend(); ++each) {
        const auto& taken = *each;
        if (!is_binding(taken)) continue;
        fields arguments{{"device", field(taken.planned.arguments, "device")}};
        for (const char* name : {"driver", "driver_override", "netdev"})
            arguments[name] = field(taken.prior_state, name);
        for (const char* name : {"netdevs", "module", "ids"})
            if (taken.prior_state.contains(name)) arguments[name] = field(taken.prior_state, name);
        steps.push_back({step_kind::set_binding, std::move(arguments)});
    }
    return steps;
}

const operation_record* find_sharer(const operation_record& attach, const situation& seen) {
    const auto group = group_of(seen, field(attach.subject, "device"));
    if (!group) return nullptr;
    const auto found = std::ranges::find_if(seen.assigned, [&](const operation_record& other) {
        return other.number != attach.number && other.kind == operation_kind::attach &&
               group_of(seen, field(other.subject, "device")) == group;
    });
    return found == seen.assigned.end() ? nullptr : &*found;
}

namespace {

using heirs = std::map<std::int64_t, operation_record>;

void give(const operation_record& from, const operation_record& to,
          bool (*wanted)(const step_record&), heirs& changed) {
    const auto steps = missing_steps(from, to, wanted);
    if (!steps.empty()) put_first(changed.try_emplace(to.number, to).first->second, steps);
}

void give_limit(const operation_record& from, const situation& seen, heirs& changed) {
    const auto* heir = find_limit_sharer(from, seen);
    if (!heir) return;
    give(from, *heir, is_raised_limit, changed);
    const auto known = changed.find(heir->number);
    auto kept = known == changed.end() ? *heir : known->second;
    if (keep_lower_limit(from, kept)) changed.insert_or_assign(heir->number, std::move(kept));
}

std::vector<operation_record> to_records(heirs changed) {
    std::vector<operation_record> records;
    records.reserve(changed.size());
    for (auto& [number, heir] : changed)
        records.push_back(std::move(heir));
    return records;
}

} // namespace

std::vector<operation_record> hand_over(const operation_record& attach, const situation& seen) {
    heirs changed;
    if (const auto* heir = find_sharer(attach, seen)) give(attach, *heir, is_binding, changed);
    give_limit(attach, seen, changed);
    return to_records(std::move(changed));
}

std::vector<operation_record> hand_over_bindings(const operation_record& attach,
                                                 const situation& seen) {
    heirs changed;
    if (const auto* heir = find_sharer(attach, seen)) give(attach, *heir, is_binding, changed);
    return to_records(std::move(changed));
}

std::vector<operation_record> hand_over_limit(const operation_record& attach,
                                              const situation& seen) {
    heirs changed;
    give_limit(attach, seen, changed);
    return to_records(std::move(changed));
}

std::vector<step_record> binding_steps(const operation_record& attach) {
    return missing_steps(attach, {}, is_binding);
}

plan plan_release(const operation_record& bound, const situation& seen) {
    plan made;
    made.failure_policy = on_failure::hold;
    made.subject = bound.subject;
    const auto device = field(bound.subject, "device");
    if (const auto* record = find_unsettled(seen, device)) {
        made.refusals.push_back(unsettled(*record, device));
        return made;
    }
    const auto group = group_of(seen, device);
    const auto users = group ? seen.host.group_users.find(*group) : seen.host.group_users.end();
    if (users != seen.host.group_users.end()) {
        made.refusals.push_back(
            {error_code::device_assigned, device,
             "process " + std::to_string(users->second.front().pid) +
                 " has its IOMMU group open: " + users->second.front().command.substr(0, 60),
             "detach it there first: a guest of a manager (libvirt, Incus) through that manager"});
        return made;
    }
    made.steps = plan_binding_return(bound);
    return made;
}

std::vector<step> plan_way_home(const operation_record& attach, const situation& seen,
                                bool keep_bound) {
    std::vector<step> home;
    if (!keep_bound && !find_sharer(attach, seen)) home = plan_binding_return(attach);
    add_memlock_return(attach, seen, home);
    return home;
}

plan plan_detach(const detach_request& request, const operation_record& attach,
                 const situation& seen) {
    plan made;
    made.failure_policy = on_failure::hold;
    made.subject = attach.subject;
    if (const auto* record = find_unsettled(seen, field(attach.subject, "device"))) {
        made.refusals.push_back(unsettled(*record, field(attach.subject, "device")));
        return made;
    }
    made.steps.push_back(
        {step_kind::device_del,
         {{"id", request.id}, {"wait_ms", std::to_string(request.wait_guest.count())}}});
    if (const auto* sharer = find_sharer(attach, seen))
        made.notes.push_back("the group stays with " + field(sharer->subject, "id") +
                             "; the last device of it to leave takes the others home");
    // Its end makes a bind of what it leaves.
    else if (request.keep_bound)
        made.subject["keep_bound"] = "true";
    for (auto& each : plan_way_home(attach, seen, request.keep_bound))
        made.steps.push_back(std::move(each));
    return made;
}

} // namespace vmplug
