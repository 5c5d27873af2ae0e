#include "engine/chains.hpp"

#include <algorithm>
#include <map>
#include <set>
#include <string>

namespace vmplug {
namespace {

/// What an operation works on: the device, its neighbours, and their groups. A device that has left
/// the machine shows no group any more.
std::set<std::string> chain_keys(const operation_record& record, const host_facts& known) {
    std::set<std::string> devices{field(record.subject, "device")};
    for (const auto& step : record.steps)
        devices.insert(device_of(step.planned));
    devices.erase("");
    auto keys = devices;
    for (const auto& device : devices) {
        const auto address = parse_host_address(device);
        const auto* function = address.has_value() ? known.find(*address) : nullptr;
        if (function && function->iommu_group)
            keys.insert("group " + std::to_string(*function->iommu_group));
    }
    return keys;
}

} // namespace

std::vector<std::vector<std::size_t>> find_chains(const std::vector<operation_record>& records,
                                                  const host_facts& known) {
    struct chain {
        std::set<std::string> keys;
        std::vector<std::size_t> members;
    };
    std::vector<chain> chains;
    for (std::size_t i = 0; i < records.size(); ++i) {
        chain joined{chain_keys(records[i], known), {i}};
        const auto shares = [&](const chain& other) {
            return std::ranges::any_of(other.keys,
                                       [&](const auto& key) { return joined.keys.contains(key); });
        };
        // What it has in common with several makes one of them.
        for (auto each = chains.begin(); each != chains.end();) {
            if (!shares(*each)) {
                ++each;
                continue;
            }
            joined.keys.merge(each->keys);
            joined.members.insert(joined.members.end(), each->members.begin(), each->members.end());
            each = chains.erase(each);
        }
        std::ranges::sort(joined.members);
        chains.push_back(std::move(joined));
    }
    std::vector<std::vector<std::size_t>> found;
    for (auto& each : chains)
        found.push_back(std::move(each.members));
    return found;
}

} // namespace vmplug
