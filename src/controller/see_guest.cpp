#include "controller/see_guest.hpp"

#include "host/read_process_view.hpp"

namespace vmplug {

boost::asio::awaitable<result<guest_facts>> survey_guest(guest_link& link, const file_tree& files,
                                                         guest_link::duration deadline) {
    auto facts = co_await link.survey(deadline);
    if (facts.has_error()) co_return facts;
    for (auto& device : facts->devices) {
        if (!device.host.starts_with("/sys/")) continue;
        const auto place = files.resolve(device.host);
        const auto address =
            place ? parse_host_address(place->substr(place->rfind('/') + 1)) : host_address();
        if (place && address.has_value()) device.host = format_address(*address);
    }
    co_return facts;
}

std::optional<process_view> view_device(const file_tree& files, const host_facts& host,
                                        const std::optional<qemu_process>& qemu,
                                        const host_address& device) {
    const auto* function = host.find(device);
    if (!qemu || !function || !function->iommu_group) return std::nullopt;
    return read_process_view(files, qemu->identity.pid, device, *function->iommu_group);
}

} // namespace vmplug
