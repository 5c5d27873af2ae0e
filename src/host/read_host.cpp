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

} // namespace

host_facts read_host(const file_tree& files, host_reading wanted) {
    host_facts facts;
    facts.functions = read_functions(files);
    facts.iommu = read_iommu(files, wanted.kernel_words);
    if (wanted.kernel_words) facts.kernel_options = read_kernel_options(files);
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

} // namespace vmplug
