#include "command/render/trees.hpp"

#include "command/text/json_member.hpp"

#include <vmplug/error.hpp>

#include <algorithm>
#include <map>

namespace vmplug {
namespace {

using nlohmann::json;

/// "0000:01:00.0" as people write it.
std::string short_address(const std::string& address) {
    return address.starts_with("0000:") ? address.substr(5) : address;
}

void append(std::string& text, const std::string& part) {
    if (!part.empty()) text += "  " + part;
}

/// Which functions are below which bridge; those below none are under their bus, "0000:00".
class host_tree {
public:
    explicit host_tree(const json& devices) {
        std::map<std::string, int> members;
        for (const auto& each : devices) {
            const auto& upstream = each["upstream"];
            const auto address = text_at(each, "address");
            below_[upstream.empty() ? address.substr(0, address.rfind(':'))
                                    : upstream.back().get<std::string>()]
                .push_back(&each);
            if (upstream.empty()) buses_.push_back(address.substr(0, address.rfind(':')));
            ++members[text_at(each, "iommu_group")];
        }
        buses_.erase(std::unique(buses_.begin(), buses_.end()), buses_.end());
        for (const auto& [group, count] : members)
            if (count > 1 && !group.empty()) shared_.push_back(group);
    }

    std::vector<picture_node> roots() const {
        std::vector<picture_node> all;
        for (const auto& bus : buses_)
            all.push_back({"bus " + bus, ink::plain, {}, below(bus)});
        return all;
    }

private:
    std::vector<picture_node> below(const std::string& bridge) const {
        std::vector<picture_node> nodes;
        const auto found = below_.find(bridge);
        if (found == below_.end()) return nodes;
        for (const auto* each : found->second)
            nodes.push_back(node(*each));
        return nodes;
    }

    picture_node node(const json& device) const {
        const auto address = text_at(device, "address");
        const auto group = text_at(device, "iommu_group");
        const bool shared = std::ranges::find(shared_, group) != shared_.end();
        auto text = short_address(address);
        append(text, text_at(device, "driver").empty() ? "no driver" : text_at(device, "driver"));
        append(text, join(device["netdevs"], ","));
        if (!shared && !group.empty()) append(text, "group " + group);
        append(text, standing(device));
        append(text, text_at(device, "name")); // the first to be cut
        return {text, ink_of(device), shared ? "group " + group : "", below(address)};
    }

    static std::string standing(const json& device) {
        const auto& owner = device["owner"];
        if (owner.is_object() && owner.contains("guest"))
            return "-> guest " + text_at(owner, "guest") + " as " + text_at(owner, "id");
        if (owner.is_object() && owner.contains("pid"))
            return "-> process " + text_at(owner, "pid");
        if (owner.is_object()) return "-> bound by vmplug";
        if (device.value("assignable", false)) return "assignable";
        if (is_bridge(device)) return "bridge";
        const auto why_not = text_at(device, "why_not");
        // The box says that already.
        if (text_at(device, "why_not_code") == code_name(error_code::group_not_viable))
            return "only with its group";
        return "(" + why_not + ")";
    }

    static bool is_bridge(const json& device) { return device.value("bridge", false); }

    static ink ink_of(const json& device) {
        if (device["owner"].is_object()) return ink::doubtful;
        if (device.value("assignable", false)) return ink::good;
        return is_bridge(device) ? ink::plain : ink::quiet;
    }

    std::map<std::string, std::vector<const json*>> below_;
    std::vector<std::string> buses_;
    std::vector<std::string> shared_; ///< groups of more than one function
};

/// A guest's buses. Its devices are untrusted: one that sits below itself is never reached.
class guest_tree {
public:
    explicit guest_tree(const json& answer) : answer_(answer) {
        for (const auto& each : answer["devices"])
            sits_on_[text_at(each, "bus")].push_back(&each);
        for (auto& [bus, devices] : sits_on_)
            std::ranges::stable_sort(devices, {},
                                     [](const json* each) { return text_at(*each, "address"); });
        for (const auto& each : answer["ports"])
            ports_[text_at(each, "bus")] = &each;
    }

    std::vector<picture_node> roots() const {
        std::vector<picture_node> all;
        for (const auto& [bus, port] : ports_)
            if (!is_device(bus)) all.push_back(bus_node(bus, *port));
        for (const auto& [bus, devices] : sits_on_)
            if (!ports_.contains(bus) && !bus.empty() && !is_device(bus))
                all.push_back({bus, ink::plain, {}, below(bus)});
        return all;
    }

private:
    bool is_device(const std::string& bus) const {
        return std::ranges::any_of(answer_["devices"],
                                   [&](const json& each) { return text_at(each, "id") == bus; });
    }

    picture_node bus_node(const std::string& bus, const json& port) const {
        auto text = bus;
        append(text, text_at(port, "type"));
        if (!port.value("takes_hot_add", false))
            return {text + ": " + text_at(port, "why_not"), ink::plain, {}, below(bus)};
        const bool free = port.value("free", false);
        return {text + (free ? ": free" : ""), free ? ink::good : ink::plain, {}, below(bus)};
    }

    std::vector<picture_node> below(const std::string& bus) const {
        std::vector<picture_node> nodes;
        const auto found = sits_on_.find(bus);
        if (found == sits_on_.end()) return nodes;
        for (const auto* each : found->second) {
            const auto id = text_at(*each, "id");
            const auto port = ports_.find(id);
            nodes.push_back(port == ports_.end() ? device_node(*each)
                                                 : bus_node(id, *port->second));
        }
        return nodes;
    }

    picture_node device_node(const json& device) const {
        const auto id = text_at(device, "id");
        const auto host = text_at(device, "host");
        auto text = id.empty() ? "(no id)" : id;
        append(text, text_at(device, "type"));
        append(text, text_at(device, "address"));
        if (!host.empty()) append(text, "<- host " + host);
        auto children = id.empty() ? std::vector<picture_node>() : below(id);
        return {text, host.empty() ? ink::plain : ink::doubtful, {}, std::move(children)};
    }

    const json& answer_;
    std::map<std::string, std::vector<const json*>> sits_on_;
    std::map<std::string, const json*> ports_;
};

} // namespace

std::vector<picture_node> picture_host(const json& devices) {
    return host_tree(devices).roots();
}

std::vector<picture_node> picture_guest(const json& answer) {
    auto buses = guest_tree(answer).roots();
    return {{text_at(answer, "guest"), ink::plain, {}, std::move(buses)}};
}

} // namespace vmplug
