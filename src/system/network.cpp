#include "system/network.hpp"

#include <array>
#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <memory>

#include <fcntl.h>
#include <linux/if_link.h>
#include <linux/net_namespace.h>
#include <linux/rtnetlink.h>
#include <net/if.h>
#include <netlink/cache.h>
#include <netlink/msg.h>
#include <netlink/netlink.h>
#include <netlink/route/addr.h>
#include <netlink/route/nexthop.h>
#include <netlink/route/route.h>
#include <netlink/socket.h>
#include <sched.h>
#include <sys/stat.h>
#include <unistd.h>

namespace vmplug {
namespace {

using socket_pointer = std::unique_ptr<nl_sock, void (*)(nl_sock*)>;
using cache_pointer = std::unique_ptr<nl_cache, void (*)(nl_cache*)>;

// Headers of Linux 6.1 have them all; IFLA_PARENT_DEV_NAME came with 5.14.
constexpr int attribute_max = IFLA_PARENT_DEV_BUS_NAME;

error netlink_failure(int code) {
    return {error_code::host_io, "rtnetlink", nl_geterror(code), {}};
}

std::string text_of(const nlattr* attribute) {
    return attribute ? std::string(nla_get_string(attribute)) : std::string();
}

/// A name that a link has besides its own.
void add_alternative_names(const nlattr* list, network_interface& entry) {
    if (!list) return;
    const nlattr* each = nullptr;
    int left = 0;
    nla_for_each_nested(each, list, left) {
        if (nla_type(each) == IFLA_ALT_IFNAME)
            entry.alternative_names.emplace_back(nla_get_string(each));
    }
}

bool has_program(const nlattr* xdp) {
    if (!xdp) return false;
    const auto* attached =
        nla_find(static_cast<const nlattr*>(nla_data(xdp)), nla_len(xdp), IFLA_XDP_ATTACHED);
    return attached && nla_get_u8(attached) != 0;
}

std::string format_mac(const nlattr* attribute) {
    constexpr char digits[] = "0123456789abcdef";
    std::string text;
    if (!attribute) return text;
    const auto* bytes = static_cast<const unsigned char*>(nla_data(attribute));
    for (int i = 0; i < nla_len(attribute); ++i) {
        if (i > 0) text += ':';
        text.append({digits[bytes[i] >> 4], digits[bytes[i] & 15]});
    }
    return text;
}

/// A veth's "link" is its peer; that one does not stand on it.
bool is_pair(const nlattr* info) {
    if (!info) return false;
    const auto* kind =
        nla_find(static_cast<const nlattr*>(nla_data(info)), nla_len(info), IFLA_INFO_KIND);
    return kind && text_of(kind) == "veth";
}

struct links {
    network_interfaces found;
    std::map<int, int> masters; ///< index -> index
    int failure = 0;
};

int take_link(nl_msg* message, void* into) {
    auto& read = *static_cast<links*>(into);
    std::array<nlattr*, attribute_max + 1> attributes{};
    auto* header = nlmsg_hdr(message);
    if (header->nlmsg_type != RTM_NEWLINK) return NL_SKIP;
    if (nlmsg_parse(header, sizeof(ifinfomsg), attributes.data(), attribute_max, nullptr) < 0)
        return NL_SKIP;
    const auto* body = static_cast<const ifinfomsg*>(nlmsg_data(header));
    auto& entry = read.found[body->ifi_index];
    entry.index = body->ifi_index;
    entry.name = text_of(attributes[IFLA_IFNAME]);
    entry.mac = format_mac(attributes[IFLA_ADDRESS]);
    add_alternative_names(attributes[IFLA_PROP_LIST], entry);
    entry.express_path = has_program(attributes[IFLA_XDP]);
    if (attributes[IFLA_PROMISCUITY]) entry.promiscuity = nla_get_u32(attributes[IFLA_PROMISCUITY]);
    if (attributes[IFLA_LINK] && !is_pair(attributes[IFLA_LINKINFO]))
        entry.link = nla_get_s32(attributes[IFLA_LINK]);
    if (attributes[IFLA_LINK_NETNSID])
        entry.link_namespace = nla_get_s32(attributes[IFLA_LINK_NETNSID]);
    entry.parent_bus = text_of(attributes[IFLA_PARENT_DEV_BUS_NAME]);
    entry.parent_name = text_of(attributes[IFLA_PARENT_DEV_NAME]);
    if (attributes[IFLA_MASTER])
        read.masters[body->ifi_index] = static_cast<int>(nla_get_u32(attributes[IFLA_MASTER]));
    return NL_OK;
}

result<network_interfaces> read_links(nl_sock* socket) {
    links read;
    nl_socket_modify_cb(socket, NL_CB_VALID, NL_CB_CUSTOM, &take_link, &read);
    ifinfomsg body{};
    int code = nl_send_simple(socket, RTM_GETLINK, NLM_F_DUMP, &body, sizeof body);
    if (code >= 0) code = nl_recvmsgs_default(socket);
    if (code < 0) return netlink_failure(code);
    for (const auto& [index, master] : read.masters)
        if (const auto entry = read.found.find(master); entry != read.found.end())
            read.found[index].master = entry->second.name;
    for (const auto& [index, entry] : read.found) {
        if (entry.link == 0 || entry.link_namespace >= 0 || entry.link == index) continue;
        if (const auto lower = read.found.find(entry.link); lower != read.found.end())
            lower->second.stacked.push_back(entry.name);
    }
    return std::move(read.found);
}

/// Calls `visit` for each object of a cache, as the type that the cache is known to hold.
template <class Object, class Visit>
void for_each(const cache_pointer& cache, Visit visit) {
    for (auto* each = nl_cache_get_first(cache.get()); each; each = nl_cache_get_next(each))
        visit(reinterpret_cast<Object*>(each));
}

result<void> read_addresses(nl_sock* socket, network_interfaces& found) {
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

result<void> read_routes(nl_sock* socket, network_interfaces& found) {
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

result<socket_pointer> open_netlink() {
    socket_pointer socket(nl_socket_alloc(), &nl_socket_free);
    if (!socket) return netlink_failure(-NLE_NOMEM);
    if (const int code = nl_connect(socket.get(), NETLINK_ROUTE); code < 0)
        return netlink_failure(code);
    return socket;
}

error namespace_failure(const std::string& file, int reason) {
    const bool denied = reason == EACCES || reason == EPERM;
    return {denied ? error_code::permission_denied : error_code::host_io,
            file,
            std::strerror(reason),
            {}};
}

struct descriptor {
    int value;
    explicit descriptor(const std::string& path)
        : value(::open(path.c_str(), O_RDONLY | O_CLOEXEC)) {}
    descriptor(const descriptor&) = delete;
    descriptor& operator=(const descriptor&) = delete;
    ~descriptor() {
        if (value >= 0) ::close(value);
    }
};

/// A socket belongs to the namespace in which it was made, whichever its maker is in later.
result<socket_pointer> open_netlink_in(const std::string& file, int home, int there) {
    if (::setns(there, CLONE_NEWNET) != 0) return namespace_failure(file, errno);
    auto socket = open_netlink();
    // Whatever came next would happen to another network.
    if (::setns(home, CLONE_NEWNET) != 0) std::abort();
    return socket;
}

int take_namespace_id(nl_msg* message, void* into) {
    const auto* attribute = nlmsg_find_attr(nlmsg_hdr(message), sizeof(rtgenmsg), NETNSA_NSID);
    if (attribute) *static_cast<std::int32_t*>(into) = nla_get_s32(attribute);
    return NL_OK;
}

/// The id of the namespace `of` in that of the socket; -1 when it has none there.
std::int32_t read_namespace_id(nl_sock* socket, int of) {
    std::int32_t id = -1;
    const std::unique_ptr<nl_msg, void (*)(nl_msg*)> message(nlmsg_alloc_simple(RTM_GETNSID, 0),
                                                             &nlmsg_free);
    rtgenmsg body{AF_UNSPEC};
    if (!message || nlmsg_append(message.get(), &body, sizeof body, NLMSG_ALIGNTO) < 0 ||
        nla_put_u32(message.get(), NETNSA_FD, static_cast<std::uint32_t>(of)) < 0)
        return id;
    // The reply is the only message then; an acknowledgement would be taken for the next answer.
    nl_socket_disable_auto_ack(socket);
    nl_socket_modify_cb(socket, NL_CB_VALID, NL_CB_CUSTOM, &take_namespace_id, &id);
    if (nl_send_auto(socket, message.get()) >= 0) nl_recvmsgs_default(socket);
    return id;
}

} // namespace

result<network_interfaces> read_interfaces() {
    auto socket = open_netlink();
    if (socket.has_error()) return socket.error();
    return read_links(socket->get());
}

result<network_interfaces> read_network() {
    auto found = read_interfaces();
    if (found.has_error()) return found.error();
    // The caches have a handler of their own.
    auto socket = open_netlink();
    if (socket.has_error()) return socket.error();
    auto read = read_addresses(socket->get(), *found);
    if (read.has_value()) read = read_routes(socket->get(), *found);
    if (read.has_error()) return read.error();
    return found;
}

result<other_network> read_other_network(const std::string& namespace_file) {
    const descriptor home("/proc/thread-self/ns/net");
    const descriptor there(namespace_file);
    if (home.value < 0 || there.value < 0) return namespace_failure(namespace_file, errno);
    auto socket = open_netlink_in(namespace_file, home.value, there.value);
    if (socket.has_error()) return socket.error();
    other_network network;
    network.our_id = read_namespace_id(socket->get(), home.value);
    auto found = read_links(socket->get());
    if (found.has_error()) return found.error();
    network.interfaces = std::move(*found);
    network.inode = network_namespace_inode(namespace_file);
    return network;
}

std::uint64_t network_namespace_inode(const std::string& namespace_file) {
    struct stat found {};
    return ::stat(namespace_file.c_str(), &found) == 0 ? found.st_ino : 0;
}

} // namespace vmplug
