#include "judge/situation.hpp"

#include <algorithm>

namespace vmplug {

namespace {

std::optional<int> shown_group(const situation& seen, const std::string& device) {
    const auto address = parse_host_address(device);
    const auto* function = address.has_value() ? seen.host.find(*address) : nullptr;
    return function ? function->iommu_group : std::nullopt;
}

/// The group of those that were moved together with it; nothing when it was not among them.
std::optional<int> group_moved_with(const situation& seen, const operation_record& record,
                                    const std::string& device) {
    bool is_among = field(record.subject, "device") == device;
    std::optional<int> group;
    for (const auto& step : record.steps) {
        const auto& other = device_of(step.planned);
        is_among = is_among || other == device;
        if (!group && !other.empty()) group = shown_group(seen, other);
    }
    return is_among ? group : std::nullopt;
}

} // namespace

std::optional<int> group_of(const situation& seen, const std::string& device) {
    // Not every step is about a device.
    if (device.empty()) return std::nullopt;
    if (const auto shown = shown_group(seen, device)) return shown;
    for (const auto* records : {&seen.open, &seen.assigned})
        for (const auto& record : *records)
            if (const auto moved = group_moved_with(seen, record, device)) return moved;
    return std::nullopt;
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
