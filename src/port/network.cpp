#include "port/network.hpp"

#include <array>
#include <memory>

#include <linux/rtnetlink.h>
#include <net/if.h>
#include <netlink/cache.h>
#include <netlink/route/addr.h>
#include <netlink/route/link.h>
#include <netlink/route/nexthop.h>
#include <netlink/route/route.h>
#include <netlink/socket.h>

namespace vmplug {
namespace {

using interfaces = std::map<int, network_interface>;
using socket_pointer = std::unique_ptr<nl_sock, void (*)(nl_sock*)>;
using cache_pointer = std::unique_ptr<nl_cache, void (*)(nl_cache*)>;

error netlink_failure(int code) {
    return {error_code::host_io, "rtnetlink", nl_geterror(code), {}};
}

/// Calls `visit` for each object of a cache, as the type that the cache is known to hold.
template <class Object, class Visit>
void for_each(const cache_pointer& cache, Visit visit) {
    for (auto* each = nl_cache_get_first(cache.get()); each; each = nl_cache_get_next(each))
        visit(reinterpret_cast<Object*>(each));
}

result<void> read_links(nl_sock* socket, interfaces& found) {
    nl_cache* filled = nullptr;
    if (const int code = rtnl_link_alloc_cache(socket, AF_UNSPEC, &filled); code < 0)
        return netlink_failure(code);
    const cache_pointer cache(filled, &nl_cache_free);
    for_each<rtnl_link>(cache, [&](rtnl_link* link) {
        auto& entry = found[rtnl_link_get_ifindex(link)];
        entry.name = rtnl_link_get_name(link) ? rtnl_link_get_name(link) : "";
    });
    for_each<rtnl_link>(cache, [&](rtnl_link* link) {
        auto& entry = found[rtnl_link_get_ifindex(link)];
        if (const auto master = found.find(rtnl_link_get_master(link)); master != found.end())
            entry.master = master->second.name;
        // A veth's "link" is its peer; that one does not stand on it.
        const auto lower = found.find(rtnl_link_get_link(link));
        const char* type = rtnl_link_get_type(link);
        if (lower != found.end() && lower->second.name != entry.name &&
            std::string(type ? type : "") != "veth")
            lower->second.stacked.push_back(entry.name);
    });
    return {};
}

result<void> read_addresses(nl_sock* socket, interfaces& found) {
    nl_cache* filled = nullptr;
    if (const int code = rtnl_addr_alloc_cache(socket, &filled); code < 0)
        return netlink_failure(code);
    const cache_pointer cache(filled, &nl_cache_free);
    for_each<rtnl_addr>(cache, [&](rtnl_addr* address) {
        const auto entry = found.find(rtnl_addr_get_ifindex(address));
        if (entry == found.end() || rtnl_addr_get_scope(address) >= RT_SCOPE_LINK) return;
        std::array<char, 128> text{};
        nl_addr2str(rtnl_addr_get_local(address), text.data(), text.size());
        entry->second.addresses.emplace_back(text.data());
    });
    return {};
}

bool is_default(rtnl_route* route) {
    const auto* destination = rtnl_route_get_dst(route);
    const auto type = rtnl_route_get_type(route);
    return type == RTN_UNICAST && (!destination || nl_addr_get_prefixlen(destination) == 0);
}

result<void> read_routes(nl_sock* socket, interfaces& found) {
    nl_cache* filled = nullptr;
    if (const int code = rtnl_route_alloc_cache(socket, AF_UNSPEC, 0, &filled); code < 0)
        return netlink_failure(code);
    const cache_pointer cache(filled, &nl_cache_free);
    for_each<rtnl_route>(cache, [&](rtnl_route* route) {
        if (!is_default(route)) return;
        for (int i = 0; i < rtnl_route_get_nnexthops(route); ++i) {
            auto* hop = rtnl_route_nexthop_n(route, i);
            const auto entry = found.find(rtnl_route_nh_get_ifindex(hop));
            if (entry != found.end()) entry->second.default_route = true;
        }
    });
    return {};
}

} // namespace

result<std::map<std::string, network_interface>> read_network() {
    const socket_pointer socket(nl_socket_alloc(), &nl_socket_free);
    if (!socket) return netlink_failure(-NLE_NOMEM);
    if (const int code = nl_connect(socket.get(), NETLINK_ROUTE); code < 0)
        return netlink_failure(code);
    interfaces found;
    auto read = read_links(socket.get(), found);
    if (read.has_value()) read = read_addresses(socket.get(), found);
    if (read.has_value()) read = read_routes(socket.get(), found);
    if (read.has_error()) return read.error();
    std::map<std::string, network_interface> by_name;
    for (auto& [index, entry] : found)
        by_name.emplace(entry.name, std::move(entry));
    return by_name;
}

} // namespace vmplug
