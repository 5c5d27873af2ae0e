#include "controller/step_kind.hpp"

#include "controller/steps/steps.hpp"

#include <algorithm>
#include <array>

namespace vmplug {

using boost::asio::awaitable;

std::vector<std::string> step_kind_handler::manual_undo(const fields&, const fields&) const {
    return {};
}

awaitable<result<fields>> step_kind_handler::observe(step_context&, const fields&) const {
    co_return fields{};
}

awaitable<result<presence>> step_kind_handler::probe(step_context&, const fields&,
                                                     const fields&) const {
    co_return presence::absent;
}

awaitable<result<void>> step_kind_handler::revert(step_context&, const fields&,
                                                  const fields&) const {
    co_return result<void>{};
}

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

} // namespace vmplug
