#include "step/step_kind.hpp"

#include "step/field_check.hpp"
#include "step/steps.hpp"

#include <algorithm>
#include <array>

namespace vmplug {

std::span<const step_kind_handler* const> step_kinds() {
    static const std::array all{
        &load_module_step(), &set_binding_step(),   &set_memlock_step(),
        &device_add_step(),  &confirm_guest_step(), &device_del_step(),
    };
    return all;
}

const step_kind_handler* find_step_kind(std::string_view name) {
    const auto all = step_kinds();
    const auto found = std::ranges::find(all, name, &step_kind_handler::name);
    return found == all.end() ? nullptr : *found;
}

shared_by sharers_of(const step& planned) {
    const auto* kind = find_step_kind(planned.kind);
    return kind ? kind->sharers() : shared_by::nobody;
}

result<void> check_record(const operation_record& record) {
    // What the journal itself could not read.
    if (record.failure && record.failure->code == error_code::journal_corrupt)
        return *record.failure;
    auto fine = field_check(record.subject)
                    .has("device", is_device_address)
                    .may_have("id", is_qdev_id)
                    .may_have("guest_pid", is_pid)
                    .may_have("guest_start", is_unsigned)
                    .may_have("boot_id", is_boot_id)
                    .verdict();
    for (const auto& step : record.steps) {
        if (fine.has_error()) return fine;
        const auto* kind = find_step_kind(step.planned.kind);
        if (!kind)
            return error{error_code::journal_corrupt, step.planned.kind,
                         "the journal names a kind of step that this vmplug does not know",
                         "use the version of vmplug that wrote it"};
        fine = kind->check(step.planned.arguments, step.prior_state);
    }
    return fine;
}

} // namespace vmplug
