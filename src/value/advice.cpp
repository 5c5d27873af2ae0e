#include <vmplug/advice.hpp>

#include <algorithm>
#include <array>

namespace vmplug {
namespace {

constexpr std::array<std::string_view, 25> names{
    "none",
    "of_code",
    "list_devices",
    "list_guests",
    "list_assignments",
    "list_operations",
    "list_bound",
    "wait_for_operation",
    "name_by_pid_or_force",
    "force_where_done",
    "force_where_allowed",
    "force_without_iommu",
    "bind_first",
    "bind_first_or_force",
    "attach_with_group",
    "check_as_root",
    "release",
    "recover",
    "recover_all",
    "distrust_record",
    "send_hmp_line",
    "use_own_option",
    "free_interrupt_line",
    "find_user",
    "read_log_of_qemu",
};
static_assert(names.size() == static_cast<std::size_t>(advice::read_log_of_qemu) + 1);

} // namespace

std::string_view advice_name(advice value) {
    return names[static_cast<std::size_t>(value)];
}

advice parse_advice(std::string_view name) {
    const auto found = std::ranges::find(names, name);
    return found == names.end() ? advice::none : static_cast<advice>(found - names.begin());
}

} // namespace vmplug
