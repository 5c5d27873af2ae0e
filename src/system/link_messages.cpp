#include "system/link_messages.hpp"

#include "port/netdev_rules.hpp"

#include <algorithm>
#include <array>
#include <cctype>
#include <charconv>
#include <cstring>
#include <memory>

#include <arpa/inet.h>
#include <linux/rtnetlink.h>
#include <net/if.h>
#include <netlink/attr.h>
#include <netlink/msg.h>

namespace vmplug {
namespace {

using message_pointer = std::unique_ptr<nl_msg, void (*)(nl_msg*)>;
using link_attributes = std::array<nlattr*, IFLA_MAX + 1>;

constexpr char digits[] = "0123456789abcdef";

std::string text_of(nlattr* attribute) {
    if (!attribute) return {};
    const auto* text = static_cast<const char*>(nla_data(attribute));
    return {text, ::strnlen(text, static_cast<std::size_t>(nla_len(attribute)))};
}

std::string format_mac(nlattr* attribute) {
    std::string text;
    if (!attribute) return text;
    const auto* bytes = static_cast<const unsigned char*>(nla_data(attribute));
    for (int i = 0; i < nla_len(attribute); ++i) {
        if (i > 0) text += ':';
        text += digits[bytes[i] >> 4];
        text += digits[bytes[i] & 15];
    }
    return text;
}

void read_alternative_names(nlattr* list, std::vector<std::string>& names) {
    if (!list) return;
    auto* each = static_cast<nlattr*>(nla_data(list));
    int left = nla_len(list);
    for (; nla_ok(each, left); each = nla_next(each, &left))
        if (nla_type(each) == IFLA_ALT_IFNAME) names.push_back(text_of(each));
}

result<void> read_link(nlmsghdr* header, std::vector<link_state>& found) {
    link_attributes attributes{};
    if (nlmsg_parse(header, sizeof(ifinfomsg), attributes.data(), IFLA_MAX, nullptr) < 0)
        return error{error_code::host_io, "rtnetlink", "an answer that is none", {}};
    const auto* about = static_cast<const ifinfomsg*>(nlmsg_data(header));
    link_state link;
    link.index = about->ifi_index;
    link.up = (about->ifi_flags & IFF_UP) != 0;
    link.name = text_of(attributes[IFLA_IFNAME]);
    link.mac = format_mac(attributes[IFLA_ADDRESS]);
    link.permanent_mac = format_mac(attributes[IFLA_PERM_ADDRESS]);
    if (attributes[IFLA_MTU]) link.mtu = nla_get_u32(attributes[IFLA_MTU]);
    if (attributes[IFLA_MASTER])
        link.master = static_cast<int>(nla_get_u32(attributes[IFLA_MASTER]));
    link.parent_bus = text_of(attributes[IFLA_PARENT_DEV_BUS_NAME]);
    link.parent_name = text_of(attributes[IFLA_PARENT_DEV_NAME]);
    read_alternative_names(attributes[IFLA_PROP_LIST], link.alternative_names);
    found.push_back(std::move(link));
    return {};
}

void read_address(nlmsghdr* header, std::vector<link_state>& found) {
    std::array<nlattr*, IFA_MAX + 1> attributes{};
    if (nlmsg_parse(header, sizeof(ifaddrmsg), attributes.data(), IFA_MAX, nullptr) < 0) return;
    const auto* about = static_cast<const ifaddrmsg*>(nlmsg_data(header));
    auto* address = attributes[IFA_LOCAL] ? attributes[IFA_LOCAL] : attributes[IFA_ADDRESS];
    const int size = about->ifa_family == AF_INET ? 4 : 16;
    if (!address || nla_len(address) < size || about->ifa_scope >= RT_SCOPE_LINK) return;
    std::array<char, INET6_ADDRSTRLEN> text{};
    ::inet_ntop(about->ifa_family, nla_data(address), text.data(), text.size());
    const auto of =
        std::ranges::find(found, static_cast<int>(about->ifa_index), &link_state::index);
    if (of != found.end())
        of->addresses.push_back(std::string(text.data()) + "/" +
                                std::to_string(about->ifa_prefixlen));
}

result<void> read_failure(const nlmsghdr* header) {
    const auto* told = static_cast<const nlmsgerr*>(nlmsg_data(header));
    if (told->error == 0) return {};
    return error{error_code::host_io, "rtnetlink", std::strerror(-told->error), {}};
}

std::string dump_request(std::uint16_t type, bool without_statistics) {
    const message_pointer message(nlmsg_alloc_simple(type, NLM_F_REQUEST | NLM_F_DUMP),
                                  &nlmsg_free);
    const ifinfomsg all{};
    nlmsg_append(message.get(), const_cast<ifinfomsg*>(&all), sizeof all, NLMSG_ALIGNTO);
    if (without_statistics) nla_put_u32(message.get(), IFLA_EXT_MASK, RTEXT_FILTER_SKIP_STATS);
    const auto* header = nlmsg_hdr(message.get());
    return {static_cast<const char*>(static_cast<const void*>(header)), header->nlmsg_len};
}

error not_a(const char* what, const std::string& text) {
    return {
        error_code::invalid_argument, text.substr(0, 100), std::string("this is no ") + what, {}};
}

result<void> put_names(nl_msg* message, const std::vector<std::string>& names) {
    auto* list = nla_nest_start(message, IFLA_PROP_LIST | NLA_F_NESTED);
    for (const auto& name : names) {
        if (!is_alternative_name(name)) return not_a("alternative name of an interface", name);
        nla_put_string(message, IFLA_ALT_IFNAME, name.c_str());
    }
    nla_nest_end(message, list);
    return {};
}

/// Returns where the descriptor of the namespace belongs, 0 when it stays in its own.
result<std::size_t> put_settings(nl_msg* message, const link_change& change) {
    if (change.mtu) nla_put_u32(message, IFLA_MTU, *change.mtu);
    if (change.mac) {
        const auto bytes = parse_mac(*change.mac);
        if (bytes.empty()) return not_a("MAC address", *change.mac);
        nla_put(message, IFLA_ADDRESS, static_cast<int>(bytes.size()), bytes.data());
    }
    if (change.name) {
        if (!is_netdev_name(*change.name)) return not_a("name of an interface", *change.name);
        nla_put_string(message, IFLA_IFNAME, change.name->c_str());
    }
    if (change.namespace_file.empty()) return std::size_t{0};
    const std::size_t at = nlmsg_hdr(message)->nlmsg_len + NLA_HDRLEN;
    nla_put_u32(message, IFLA_NET_NS_FD, 0);
    return at;
}

} // namespace

std::vector<std::string> link_dump_requests() {
    return {dump_request(RTM_GETLINK, true), dump_request(RTM_GETADDR, false)};
}

result<std::vector<link_state>> parse_links(std::string_view answers) {
    std::vector<link_state> found;
    // Aligned, as libnl wants to read it.
    std::vector<std::uint32_t> words(answers.size() / sizeof(std::uint32_t) + 1);
    std::memcpy(words.data(), answers.data(), answers.size());
    auto* header = static_cast<nlmsghdr*>(static_cast<void*>(words.data()));
    int left = static_cast<int>(answers.size());
    for (; nlmsg_ok(header, left); header = nlmsg_next(header, &left)) {
        result<void> read;
        if (header->nlmsg_type == RTM_NEWLINK) read = read_link(header, found);
        if (header->nlmsg_type == RTM_NEWADDR) read_address(header, found);
        if (header->nlmsg_type == NLMSG_ERROR) read = read_failure(header);
        if (read.has_error()) return read.error();
    }
    return found;
}

result<link_request> format_link_change(const link_change& change) {
    const bool names = !change.alternative_names.empty();
    const message_pointer message(
        nlmsg_alloc_simple(names ? RTM_NEWLINKPROP : RTM_SETLINK,
                           NLM_F_REQUEST | NLM_F_ACK |
                               (names ? NLM_F_CREATE | NLM_F_APPEND | NLM_F_EXCL : 0)),
        &nlmsg_free);
    ifinfomsg which{};
    which.ifi_index = change.index;
    nlmsg_append(message.get(), &which, sizeof which, NLMSG_ALIGNTO);
    link_request made;
    if (names) {
        auto put = put_names(message.get(), change.alternative_names);
        if (put.has_error()) return put.error();
    } else {
        const auto at = put_settings(message.get(), change);
        if (at.has_error()) return at.error();
        made.descriptor_at = *at;
    }
    const auto* header = nlmsg_hdr(message.get());
    made.message.assign(static_cast<const char*>(static_cast<const void*>(header)),
                        header->nlmsg_len);
    return made;
}

} // namespace vmplug
