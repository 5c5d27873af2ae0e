#include "qapi/pci.hpp"

#include "qapi/read_json.hpp"
#include "qapi/refusal.hpp"

namespace vmplug::qapi {
namespace {

using nlohmann::json;

std::optional<std::uint8_t> number_up_to(int most, const json& function, const char* key) {
    const auto value = integer_at(function, key);
    if (!value || *value < 0 || *value > most) return std::nullopt;
    return static_cast<std::uint8_t>(*value);
}

pci_region read_region(const json& region) {
    const auto* address = member(region, "address");
    if (!address) return {};
    if (address->is_number_unsigned()) return {address->get<std::uint64_t>()};
    const auto value = integer_of(*address);
    if (!value || *value < 0) return {};
    return {static_cast<std::uint64_t>(*value)};
}

/// What is left to read, over all levels.
struct allowance {
    std::size_t functions = entries_max;
    bool exceeded = false;
};

std::vector<pci_function> read_functions(const json& list, std::size_t bridges, allowance& left);

std::optional<pci_function> read_function(const json& entry, std::size_t bridges, allowance& left) {
    const auto bus = number_up_to(255, entry, "bus");
    const auto slot = number_up_to(31, entry, "slot");
    const auto function = number_up_to(7, entry, "function");
    if (!bus || !slot || !function) return std::nullopt;
    pci_function read;
    read.bus = *bus;
    read.slot = *slot;
    read.function = *function;
    read.qdev_id = text_at(entry, "qdev_id").value_or("");
    for (const auto& region : array_at(entry, "regions"))
        read.regions.push_back(read_region(region));
    const auto* bridge = member(entry, "pci_bridge");
    if (bridge && bridges < query_pci::bridges_max)
        read.behind = read_functions(array_at(*bridge, "devices"), bridges + 1, left);
    return read;
}

std::vector<pci_function> read_functions(const json& list, std::size_t bridges, allowance& left) {
    std::vector<pci_function> found;
    for (const auto& entry : list) {
        left.exceeded = left.exceeded || left.functions == 0;
        if (left.exceeded) break;
        --left.functions;
        if (auto function = read_function(entry, bridges, left))
            found.push_back(std::move(*function));
    }
    return found;
}

} // namespace

result<query_pci::reply> query_pci::parse(const json& answer) {
    if (!answer.is_array()) return malformed(name);
    if (answer.size() > entries_max) return too_long(name);
    allowance left;
    reply roots;
    for (const auto& bus : answer)
        if (bus.is_object()) roots.push_back({read_functions(array_at(bus, "devices"), 0, left)});
    if (left.exceeded) return too_long(name);
    return roots;
}

} // namespace vmplug::qapi
