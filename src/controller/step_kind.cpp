#include "controller/step_kind.hpp"

#include "controller/steps/confirm_guest.hpp"
#include "controller/steps/device_add.hpp"
#include "controller/steps/device_del.hpp"
#include "controller/steps/load_module.hpp"
#include "controller/steps/set_binding.hpp"
#include "controller/steps/set_memlock.hpp"

#include <algorithm>
#include <array>

namespace vmplug {
namespace {

const load_module_kind load_module;
const set_binding_kind set_binding;
const set_memlock_kind set_memlock;
const device_add_kind device_add;
const confirm_guest_kind confirm_guest;
const device_del_kind device_del;

constexpr std::array<const step_kind_handler*, 6> all{
    &load_module, &set_binding, &set_memlock, &device_add, &confirm_guest, &device_del,
};

} // namespace

std::span<const step_kind_handler* const> step_kinds() {
    return all;
}

const step_kind_handler* find_step_kind(std::string_view name) {
    const auto found =
        std::ranges::find_if(all, [&](const auto* kind) { return kind->name() == name; });
    return found == all.end() ? nullptr : *found;
}

} // namespace vmplug
