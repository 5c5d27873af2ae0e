#include "step/netdev_text.hpp"

#include "step/field_check.hpp"

#include <nlohmann/json.hpp>

#include <algorithm>

namespace vmplug {
namespace {

using nlohmann::json;

json to_json(const network_namespace& value) {
    return {{"inode", value.inode},
            {"path", value.path},
            {"boot_id", value.process.boot_id},
            {"pid", value.process.pid},
            {"start_time", value.process.start_time}};
}

json to_json(const netdev_state& value) {
    json made{{"name", value.name},
              {"place", value.place},
              {"mac", value.mac},
              {"permanent_mac", value.permanent_mac},
              {"mtu", value.mtu},
              {"up", value.up},
              {"master", value.master},
              {"alternative_names", value.alternative_names},
              {"addresses", value.addresses}};
    if (value.dev_port) made["dev_port"] = *value.dev_port;
    if (value.other_namespace) made["namespace"] = to_json(*value.other_namespace);
    return made;
}

network_namespace read_namespace(const json& value) {
    network_namespace found;
    found.inode = value.at("inode").get<std::uint64_t>();
    found.path = value.at("path");
    found.process.boot_id = value.at("boot_id");
    found.process.pid = value.at("pid");
    found.process.start_time = value.at("start_time").get<std::uint64_t>();
    return found;
}

netdev_state read_netdev(const json& value) {
    netdev_state found;
    found.name = value.at("name");
    found.place = value.at("place");
    found.mac = value.at("mac");
    found.permanent_mac = value.at("permanent_mac");
    found.mtu = value.at("mtu");
    found.up = value.at("up");
    found.master = value.at("master");
    found.alternative_names = value.at("alternative_names").get<std::vector<std::string>>();
    found.addresses = value.at("addresses").get<std::vector<std::string>>();
    if (value.contains("dev_port")) found.dev_port = value["dev_port"].get<int>();
    if (value.contains("namespace")) found.other_namespace = read_namespace(value["namespace"]);
    return found;
}

bool is_believable(const network_namespace& value) {
    const bool reachable = value.path.empty() ? value.process.pid > 0 : is_plain_path(value.path);
    return reachable && value.process.pid >= 0 && is_boot_id(value.process.boot_id);
}

bool is_believable(const netdev_state& value) {
    const auto is_mac = [](const std::string& text) {
        return text.empty() || !parse_mac(text).empty();
    };
    return is_netdev_name(value.name) && is_mac(value.mac) && is_mac(value.permanent_mac) &&
           (value.master.empty() || is_netdev_name(value.master)) &&
           (value.place.empty() ||
            (is_relative_path(value.place) && value.place.find(' ') == std::string::npos)) &&
           std::ranges::all_of(value.alternative_names, is_alternative_name) &&
           std::ranges::all_of(value.addresses, is_network_address) &&
           (!value.other_namespace || is_believable(*value.other_namespace));
}

error corrupt(const std::string& why) {
    return {error_code::journal_corrupt, "netdevs", why, {}};
}

} // namespace

std::string format_netdevs(const std::vector<netdev_state>& netdevs) {
    if (netdevs.empty()) return {};
    json all = json::array();
    for (const auto& each : netdevs)
        all.push_back(to_json(each));
    return all.dump(-1, ' ', false, json::error_handler_t::replace);
}

result<std::vector<netdev_state>> parse_netdevs(const std::string& text) {
    std::vector<netdev_state> netdevs;
    if (text.empty()) return netdevs;
    try {
        for (const auto& each : json::parse(text))
            netdevs.push_back(read_netdev(each));
    } catch (const json::exception& failure) {
        return corrupt(failure.what());
    }
    for (const auto& each : netdevs)
        if (!is_believable(each)) return corrupt("no kernel has such an interface");
    return netdevs;
}

} // namespace vmplug
