#include "host/read_host.hpp"

#include "host/disk_use.hpp"
#include "host/network_use.hpp"
#include "host/node_users.hpp"
#include "host/read_devices.hpp"
#include "host/read_kernel.hpp"
#include "host/read_processes.hpp"

#include <algorithm>
#include <iterator>

namespace vmplug {
namespace {

constexpr const char* const modules_of_interest[] = {"vfio-pci", "vfio_iommu_type1", "pci-stub",
                                                     "kvm",      "kvm_intel",        "kvm_amd"};

using use_map = std::map<host_address, std::vector<device_use>>;

void add(std::vector<device_use> more, std::vector<device_use>& found) {
    std::ranges::move(more, std::back_inserter(found));
}

void add_own_uses(const pci_function& function, std::vector<device_use>& found) {
    if (function.console_display)
        found.push_back({device_use::kind::needed, "it is the display that the host booted with"});
    if (!function.virtual_functions.empty())
        found.push_back({device_use::kind::needed,
                         "it has " + std::to_string(function.virtual_functions.size()) +
                             " virtual functions, which would go away with it"});
}

/// What is read of the host's use, joined by function: the network first, as people ask for it.
use_map join_uses(const file_tree& files, const std::vector<pci_function>& functions,
                  use_map network, node_users& users) {
    const disk_uses disks(files, paths_of(functions));
    auto uses = std::move(network);
    for (const auto& function : functions) {
        std::vector<device_use> found;
        add(disks.uses_of(function), found);
        add_own_uses(function, found);
        if (const auto open = users.by_function.find(function.address);
            open != users.by_function.end())
            add(std::move(open->second), found);
        if (!users.not_seen.empty())
            found.push_back(
                {device_use::kind::unclear, "who has it open cannot be told: " + users.not_seen});
        if (!found.empty()) add(std::move(found), uses[function.address]);
    }
    return uses;
}

} // namespace

host_facts read_names(const file_tree& files) {
    host_facts facts;
    facts.functions = read_functions(files);
    network_view view;
    view.ours = read_interfaces();
    add_alternative_names(view, facts.functions);
    return facts;
}

host_facts read_host(const file_tree& files, host_reading wanted) {
    host_facts facts;
    facts.functions = read_functions(files);
    facts.iommu = read_iommu(files, wanted.kernel_words);
    if (wanted.kernel_words) facts.kernel_options = read_kernel_options(files);
    facts.modules = read_modules(files, modules_of_interest);
    process_reading reading;
    reading.monitor_clients = wanted.monitor_clients;
    facts.qemus = read_processes(files, reading).qemus;
    const auto view = read_network_view(files);
    add_alternative_names(view, facts.functions);
    auto users = read_node_users(files, facts.functions);
    facts.group_users = std::move(users.by_group);
    facts.uses =
        join_uses(files, facts.functions, read_network_uses(files, facts.functions, view), users);
    return facts;
}

} // namespace vmplug
