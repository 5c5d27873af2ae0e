#include "plan/plan_return.hpp"

#include "step/device_del.hpp"

#include <algorithm>
#include <functional>
#include <map>

namespace vmplug {
namespace {

error unsettled(const operation_record& record, const std::string& device) {
    return {error_code::operation_conflict,
            device,
            "operation " + std::to_string(record.number) + " (" +
                std::string(kind_name(record.kind)) + " of " + field(record.subject, "device") +
                ") is not settled",
            {}};
}

/// Whether the guest may have the device still. What takes it back says when it has let go.
bool may_be_in_guest(const operation_record& attach, const situation& seen) {
    if (attach.state != operation_state::closed)
        return std::ranges::any_of(attach.steps, [](const step_record& each) {
            return each.planned.kind == step_kind::device_add && each.may_stand();
        });
    return std::ranges::none_of(seen.open, [&](const operation_record& other) {
        return other.releases == attach.number && !other.steps.empty() &&
               other.steps.front().state == step_state::applied;
    });
}

/// What takes back what was done, the last first, but for what `stays`. What moves devices comes
/// first: they are away from their drivers for no longer than it takes.
std::vector<step> take_back(const operation_record& done,
                            const std::function<bool(shared_by)>& stays) {
    std::vector<step> back;
    for (auto each = done.steps.rbegin(); each != done.steps.rend(); ++each) {
        const auto* kind = find_step_kind(each->planned.kind);
        if (!kind || !each->may_stand() || stays(kind->sharers())) continue;
        if (auto inverse = kind->inverse(each->planned.arguments, each->prior_state))
            back.push_back(std::move(*inverse));
    }
    // clang 14 takes no std::ranges::stable_partition of libstdc++.
    std::stable_partition(back.begin(), back.end(),
                          [](const step& each) { return !device_of(each).empty(); });
    return back;
}

bool is_unplug(const step& planned) {
    return planned.kind == step_kind::device_del;
}

/// Whether `heir` has what `given` did among its own: the step of it.
step_record* find_same(operation_record& heir, const step_record& given) {
    const auto found = std::ranges::find_if(heir.steps, [&](const step_record& own) {
        return own.may_stand() && own.planned.kind == given.planned.kind &&
               device_of(own.planned) == device_of(given.planned);
    });
    return found == heir.steps.end() ? nullptr : &*found;
}

/// Those steps of `from` that are shared so and may stand. Whether they were done in the end: who
/// takes them over puts back what was before.
std::vector<step_record> shared_steps(const operation_record& from, shared_by scope) {
    std::vector<step_record> steps;
    for (const auto& each : from.steps) {
        if (!each.may_stand() || sharers_of(each.planned) != scope) continue;
        steps.push_back(each);
        steps.back().state = step_state::applied;
    }
    return steps;
}

/// `heir` with what it takes over from `from`; nothing when that is nothing new to it.
std::optional<operation_record> give(const operation_record& from, operation_record heir,
                                     shared_by scope) {
    std::vector<step_record> missing;
    bool changed = false;
    for (auto& each : shared_steps(from, scope)) {
        auto* own = find_same(heir, each);
        if (!own) {
            missing.push_back(std::move(each));
            continue;
        }
        const auto* kind = find_step_kind(own->planned.kind);
        if (!kind->is_earlier(each.prior_state, own->prior_state)) continue;
        own->prior_state = std::move(each.prior_state);
        changed = true;
    }
    if (missing.empty() && !changed) return std::nullopt;
    heir.forward_from += static_cast<int>(missing.size());
    heir.steps.insert(heir.steps.begin(), missing.begin(), missing.end());
    return heir;
}

const operation_record* find_in_group(const operation_record& attach, const situation& seen) {
    const auto group = group_of(seen, field(attach.subject, "device"));
    if (!group) return nullptr;
    const auto found = std::ranges::find_if(seen.assigned, [&](const operation_record& other) {
        return other.number != attach.number && other.kind == operation_kind::attach &&
               group_of(seen, field(other.subject, "device")) == group;
    });
    return found == seen.assigned.end() ? nullptr : &*found;
}

const operation_record* find_in_guest(const operation_record& attach, const situation& seen) {
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

std::vector<operation_record> hand_over_all(const operation_record& attach, const situation& seen,
                                            std::initializer_list<shared_by> scopes) {
    std::map<std::int64_t, operation_record> changed;
    for (const auto scope : scopes) {
        const auto* heir = find_heir(attach, seen, scope);
        if (!heir) continue;
        const auto known = changed.find(heir->number);
        auto given = give(attach, known == changed.end() ? *heir : known->second, scope);
        if (given) changed.insert_or_assign(heir->number, std::move(*given));
    }
    std::vector<operation_record> records;
    records.reserve(changed.size());
    for (auto& [number, heir] : changed)
        records.push_back(std::move(heir));
    return records;
}

} // namespace

const operation_record* find_heir(const operation_record& attach, const situation& seen,
                                  shared_by scope) {
    switch (scope) {
    case shared_by::group:
        return find_in_group(attach, seen);
    case shared_by::guest:
        return find_in_guest(attach, seen);
    case shared_by::nobody:
        break;
    }
    return nullptr;
}

std::vector<operation_record> hand_over(const operation_record& attach, const situation& seen) {
    return hand_over_all(attach, seen, {shared_by::group, shared_by::guest});
}

std::vector<operation_record> hand_over(const operation_record& attach, const situation& seen,
                                        shared_by scope) {
    return hand_over_all(attach, seen, {scope});
}

std::vector<step_record> binding_steps(const operation_record& attach) {
    return shared_steps(attach, shared_by::group);
}

bool keeps_bound(const fields& subject) {
    return field(subject, "keep_bound") == "true";
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
    made.steps = take_back(bound, [](shared_by) { return false; });
    return made;
}

std::vector<step> plan_way_home(const operation_record& attach, const situation& seen,
                                bool keep_bound) {
    auto home = take_back(attach, [&](shared_by scope) {
        return (scope == shared_by::group && keep_bound) || find_heir(attach, seen, scope);
    });
    std::erase_if(home, is_unplug);
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
    made.steps.push_back(device_del_arguments{request.id, request.wait_guest}.to_step());
    if (const auto* sharer = find_heir(attach, seen, shared_by::group))
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
