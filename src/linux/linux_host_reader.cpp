#include "linux/linux_host_reader.hpp"

#include "host/read_devices.hpp"
#include "host/read_host.hpp"
#include "host/read_process_view.hpp"

namespace vmplug {

using boost::asio::awaitable;

namespace {

host_facts read_functions_alone(const file_tree& files) {
    host_facts known;
    known.functions = vmplug::read_functions(files);
    return known;
}

} // namespace

linux_host_reader::linux_host_reader(file_tree files, readings where)
    : files_(std::move(files)), host_(worker_, [this] { return vmplug::read_host(files_); }),
      names_(worker_, [this] { return vmplug::read_names(files_); }),
      functions_(worker_, [this] { return read_functions_alone(files_); }),
      worker_(where == readings::on_a_thread) {}

awaitable<host_facts> linux_host_reader::read_host() {
    return host_.ask();
}

awaitable<host_facts> linux_host_reader::read_names() {
    return names_.ask();
}

awaitable<host_facts> linux_host_reader::read_functions() {
    return functions_.ask();
}

awaitable<function_abilities> linux_host_reader::read_abilities(const host_facts& host,
                                                                host_address device) {
    // Whoever shares its interrupt is a function too; the caller's facts may go away with it.
    host_facts known;
    known.functions = host.functions;
    return off_the_loop(worker_, [this, known = std::move(known), device] {
        return vmplug::read_abilities(files_, known, device);
    });
}

awaitable<std::optional<process_view>>
linux_host_reader::view_device(const host_facts& host, std::optional<qemu_process> qemu,
                               host_address device) {
    host_facts known;
    if (const auto* function = host.find(device)) known.functions.push_back(*function);
    return off_the_loop(worker_, [this, known = std::move(known), qemu = std::move(qemu), device] {
        return vmplug::view_device(files_, known, qemu, device);
    });
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
