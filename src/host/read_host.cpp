#include "host/read_host.hpp"

#include "host/critical_use.hpp"
#include "host/read_devices.hpp"
#include "host/read_kernel.hpp"
#include "host/read_processes.hpp"
#include "port/network.hpp"

namespace vmplug {
namespace {

constexpr const char* const modules_of_interest[] = {"vfio-pci", "vfio_iommu_type1", "pci-stub",
                                                     "kvm",      "kvm_intel",        "kvm_amd"};

constexpr std::size_t status_offset = 0x06;
constexpr std::size_t capabilities_offset = 0x34;
constexpr std::size_t interrupt_pin_offset = 0x3d;
constexpr unsigned capability_list_bit = 0x10;
constexpr unsigned capability_msi = 0x05;
constexpr unsigned capability_msix = 0x11;

unsigned byte_at(const std::string& configuration, std::size_t offset) {
    return offset < configuration.size() ? static_cast<unsigned char>(configuration[offset]) : 0U;
}

void read_capabilities(const std::string& configuration, function_abilities& found) {
    if ((byte_at(configuration, status_offset) & capability_list_bit) == 0) return;
    auto position = byte_at(configuration, capabilities_offset) & ~3U;
    // A damaged list may be a ring.
    for (int hops = 0; position >= 0x40 && hops < 48; ++hops) {
        const auto capability = byte_at(configuration, position);
        found.msi = found.msi || capability == capability_msi;
        found.msix = found.msix || capability == capability_msix;
        position = byte_at(configuration, position + 1) & ~3U;
    }
}

} // namespace

host_facts read_host(const file_tree& files, host_reading wanted) {
    host_facts facts;
    facts.functions = read_functions(files);
    facts.iommu = read_iommu(files, wanted.kernel_log);
    facts.modules = read_modules(files, modules_of_interest);
    process_reading reading;
    reading.group_users = true;
    reading.monitor_clients = wanted.monitor_clients;
    auto processes = read_processes(files, reading);
    facts.qemus = std::move(processes.qemus);
    facts.group_users = std::move(processes.group_users);
    auto network = read_network();
    static const std::map<std::string, network_interface> none;
    facts.critical =
        read_critical_uses(files, facts.functions, network.has_value() ? *network : none);
    return facts;
}

function_abilities read_abilities(const file_tree& files, const host_address& address) {
    const auto path = "/sys/bus/pci/devices/" + format_address(address);
    function_abilities found;
    const auto configuration = files.read_or_empty(path + "/config");
    // Without privileges only the first 64 bytes can be read: the capabilities are beyond.
    found.configuration_readable = configuration.size() > 64;
    found.dead = configuration.size() >= 4 && byte_at(configuration, 0) == 0xff &&
                 byte_at(configuration, 1) == 0xff;
    found.interrupt_pin = static_cast<int>(byte_at(configuration, interrupt_pin_offset));
    if (found.configuration_readable && !found.dead) read_capabilities(configuration, found);
    found.reset_methods = files.read_line(path + "/reset_method");
    if (found.reset_methods.empty() && files.exists(path + "/reset")) found.reset_methods = "reset";
    return found;
}

} // namespace vmplug
