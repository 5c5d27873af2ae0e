#include "judge/situation.hpp"

#include <algorithm>

namespace vmplug {

std::optional<int> group_of(const situation& seen, const std::string& device) {
    const auto address = parse_host_address(device);
    const auto* function = address.has_value() ? seen.host.find(*address) : nullptr;
    return function ? function->iommu_group : std::nullopt;
}

const operation_record* find_unsettled(const situation& seen, const std::string& device) {
    const auto group = group_of(seen, device);
    const auto found = std::ranges::find_if(seen.open, [&](const operation_record& record) {
        const auto other = field(record.subject, "device");
        return other == device || (group && group_of(seen, other) == group);
    });
    return found == seen.open.end() ? nullptr : &*found;
}

} // namespace vmplug
