#include "engine/chains.hpp"

#include <map>
#include <string>

namespace vmplug {
namespace {

/// A device that has left the machine shows no group any more.
std::string chain_key(const operation_record& record, const host_facts& known) {
    const auto& device = field(record.subject, "device");
    const auto address = parse_host_address(device);
    const auto* function = address.has_value() ? known.find(*address) : nullptr;
    if (!function || !function->iommu_group) return device;
    return "group " + std::to_string(*function->iommu_group);
}

} // namespace

std::vector<std::vector<std::size_t>> find_chains(const std::vector<operation_record>& records,
                                                  const host_facts& known) {
    std::map<std::string, std::size_t> places;
    std::vector<std::vector<std::size_t>> chains;
    for (std::size_t i = 0; i < records.size(); ++i) {
        const auto [place, is_new] = places.emplace(chain_key(records[i], known), chains.size());
        if (is_new) chains.emplace_back();
        chains[place->second].push_back(i);
    }
    return chains;
}

} // namespace vmplug
