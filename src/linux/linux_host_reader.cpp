#include "linux/linux_host_reader.hpp"

#include "host/read_devices.hpp"
#include "host/read_host.hpp"
#include "host/read_process_view.hpp"

namespace vmplug {

using boost::asio::awaitable;

awaitable<host_facts> linux_host_reader::read_host() {
    co_return vmplug::read_host(files_);
}

awaitable<host_facts> linux_host_reader::read_names() {
    co_return vmplug::read_names(files_);
}

awaitable<host_facts> linux_host_reader::read_functions() {
    host_facts known;
    known.functions = vmplug::read_functions(files_);
    co_return known;
}

awaitable<function_abilities> linux_host_reader::read_abilities(const host_facts& host,
                                                                host_address device) {
    co_return vmplug::read_abilities(files_, host, device);
}

awaitable<std::optional<process_view>>
linux_host_reader::view_device(const host_facts& host, std::optional<qemu_process> qemu,
                               host_address device) {
    co_return vmplug::view_device(files_, host, qemu, device);
}

std::optional<host_address> linux_host_reader::resolve_device(const std::string& path) {
    return vmplug::resolve_device(files_, path);
}

std::optional<process_view> view_device(const file_tree& files, const host_facts& host,
                                        const std::optional<qemu_process>& qemu,
                                        const host_address& device) {
    const auto* function = host.find(device);
    if (!qemu || !function || !function->iommu_group) return std::nullopt;
    return read_process_view(files, qemu->identity.pid, device, *function->iommu_group);
}

std::optional<host_address> resolve_device(const file_tree& files, const std::string& path) {
    const auto place = files.resolve(path);
    if (!place) return std::nullopt;
    const auto address = parse_host_address(place->substr(place->rfind('/') + 1));
    if (address.has_error()) return std::nullopt;
    return *address;
}

} // namespace vmplug
