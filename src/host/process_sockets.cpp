#include "host/process_sockets.hpp"

#include "system/socket_file.hpp"

#include <algorithm>
#include <charconv>

namespace vmplug {
namespace {

std::string process_path(std::int32_t pid) {
    return "/proc/" + std::to_string(pid);
}

bool is_abstract(const std::string& name) {
    return !name.empty() && name.front() == '\0';
}

/// Without the zero bytes that QEMU pads it with (tight=off).
std::string abstract_name(const std::string& bound) {
    const auto end = bound.find_last_not_of('\0');
    return end == bound.npos ? std::string() : bound.substr(1, end);
}

/// One line of /proc/PID/net/unix: "address: references protocol flags type state inode path".
/// Abstract names are shown with '@' for each zero byte.
bool parse_unix_line(std::string_view line, unix_socket& found) {
    std::array<std::string_view, 7> words;
    for (auto& word : words) {
        line.remove_prefix(std::min(line.find_first_not_of(' '), line.size()));
        word = line.substr(0, line.find(' '));
        line.remove_prefix(word.size());
    }
    unsigned flags = 0;
    constexpr unsigned accepts_connections = 0x10000;
    std::from_chars(words[3].data(), words[3].data() + words[3].size(), flags, 16);
    const auto number =
        std::from_chars(words[6].data(), words[6].data() + words[6].size(), found.inode);
    found.listening = (flags & accepts_connections) != 0;
    if (!line.empty()) found.path = line.substr(1);
    if (found.path.starts_with('@')) found.path.front() = '\0';
    return number.ec == std::errc();
}

/// PWD of the environment that the process was started with.
std::string first_directory(const file_tree& files, std::int32_t pid) {
    const auto text = files.read_or_empty(process_path(pid) + "/environ");
    const std::string label("\0PWD=", 5);
    const auto found = ('\0' + text).find(label);
    if (found == text.npos) return {};
    const auto begin = found + label.size() - 1;
    return text.substr(begin, std::min(text.find('\0', begin), text.size()) - begin);
}

bool fits_host(const tcp_endpoint& endpoint, const std::string& claimed) {
    tcp_endpoint wanted;
    // A name was resolved by QEMU, where and when is not known.
    if (!parse_host(claimed, wanted)) return true;
    return wanted.host == endpoint.host;
}

/// What we connect to for a socket that is bound to any address.
std::string reachable_host(const tcp_endpoint& endpoint) {
    const auto host = format_host(endpoint);
    if (host == "0.0.0.0") return "127.0.0.1";
    return host == "::" ? "::1" : host;
}

} // namespace

std::uint32_t socket_number(std::string_view link) {
    std::uint32_t inode = 0;
    if (link.starts_with("socket:["))
        std::from_chars(link.data() + 8, link.data() + link.size(), inode);
    return inode;
}

result<std::map<int, std::string>> read_descriptors(const file_tree& files, std::int32_t pid) {
    const auto directory = process_path(pid) + "/fd";
    const auto names = files.read_directory(directory);
    if (names.has_error()) return names.error();
    std::map<int, std::string> found;
    for (const auto& name : *names) {
        int number = -1;
        std::from_chars(name.data(), name.data() + name.size(), number);
        // One that was closed meanwhile is not there.
        if (auto link = files.read_link(directory + "/" + name); link && number >= 0)
            found.emplace(number, std::move(*link));
    }
    return found;
}

process_sockets::process_sockets(const file_tree& files, std::int32_t pid,
                                 const std::map<int, std::string>& descriptors)
    : files_(files), pid_(pid) {
    for (const auto& [number, link] : descriptors)
        if (const auto inode = socket_number(link)) sockets_.try_emplace(inode, number);
}

void process_sockets::read_all() {
    if (read_) return;
    read_ = true;
    std::size_t told = 0;
    // Another tree's sockets are not those of the running kernel.
    auto table = files_.root().empty()
                     ? unix_socket_table::open(pid_)
                     : result<unix_socket_table>(error{error_code::host_io, "", "", ""});
    for (const auto& [inode, descriptor] : sockets_) {
        auto socket = table.has_value() ? table->find(inode) : std::nullopt;
        if (!socket) continue;
        ++told;
        if (socket->listening)
            listeners_.push_back({descriptor, inode, false, std::move(*socket), {}});
    }
    if (told == 0 && !sockets_.empty()) read_unix_text();
    if (told < sockets_.size()) read_tcp();
    std::ranges::sort(listeners_, {}, &listener::descriptor);
}

void process_sockets::read_unix_text() {
    files_.for_each_line(process_path(pid_) + "/net/unix", [&](std::string_view line) {
        unix_socket socket;
        if (!parse_unix_line(line, socket) || !socket.listening) return true;
        const auto ours = sockets_.find(socket.inode);
        if (ours != sockets_.end())
            listeners_.push_back({ours->second, ours->first, false, std::move(socket), {}});
        return true;
    });
}

void process_sockets::read_tcp() {
    for_each_tcp_socket(files_, pid_, [&](const tcp_socket& socket) {
        const auto ours = sockets_.find(socket.inode);
        if (socket.listening && ours != sockets_.end())
            listeners_.push_back({ours->second, ours->first, true, {}, socket.local});
        return true;
    });
}

bool process_sockets::is_claimed(const listener& candidate, const monitor_claim& claim) const {
    switch (claim.where) {
    case monitor_claim::place::descriptor:
        return candidate.descriptor == claim.descriptor;
    case monitor_claim::place::unix_path:
        return !candidate.tcp && candidate.local.path == claim.path;
    case monitor_claim::place::abstract_name:
        return !candidate.tcp && is_abstract(candidate.local.path) &&
               abstract_name(candidate.local.path) == claim.path;
    case monitor_claim::place::tcp:
        break;
    }
    const auto port = candidate.endpoint.port;
    return candidate.tcp && fits_host(candidate.endpoint, claim.host) &&
           (claim.port == 0 || (port >= claim.port && port <= claim.port_last));
}

/// Where the file of a socket may be, as we see the file system.
std::vector<std::string> process_sockets::places_of(const listener& candidate) const {
    const auto& bound = candidate.local.path;
    const auto process = process_path(pid_);
    std::vector<std::string> places;
    if (bound.starts_with('/')) {
        places.push_back(bound);
        const auto root = files_.read_link(process + "/root").value_or("/");
        if (root.size() > 1 && root.starts_with('/')) places.push_back(root + bound);
        places.push_back(process + "/root" + bound);
        return places;
    }
    const auto relative = "/" + (bound.starts_with("./") ? bound.substr(2) : bound);
    if (const auto now = files_.read_link(process + "/cwd"); now && now->starts_with('/'))
        places.push_back((*now == "/" ? "" : *now) + relative);
    places.push_back(process + "/cwd" + relative);
    // Whoever runs in the background has gone to the root directory since.
    if (const auto first = first_directory(files_, pid_); first.starts_with('/'))
        places.push_back(first + relative);
    return places;
}

/// The path at which the very file is that the socket is bound to; empty when it is nowhere.
std::string process_sockets::locate(const listener& candidate) const {
    std::string likely;
    for (const auto& place : places_of(candidate)) {
        const auto inode = files_.socket_inode(place);
        if (!inode) continue;
        if (static_cast<std::uint32_t>(*inode) == candidate.local.file_inode) return place;
        if (likely.empty()) likely = place;
    }
    if (files_.root().empty())
        if (auto path = read_socket_file(pid_, candidate.descriptor); !path.empty()) return path;
    // The kernel does not say which file it is, or counts files otherwise (overlay): whoever
    // answers there is looked at.
    return likely;
}

std::optional<process_sockets::found_listener> process_sockets::take(const monitor_claim& claim) {
    read_all();
    const auto found =
        std::ranges::find_if(listeners_, [&](const auto& each) { return is_claimed(each, claim); });
    if (found == listeners_.end()) return std::nullopt;
    const std::string human = claim.speaks == qemu_monitor::protocol::hmp ? "hmp:" : "";
    const std::string prefix = human.empty() ? "qmp:" : human;
    found_listener told;
    told.inode = found->inode;
    if (found->tcp) {
        const auto host = reachable_host(found->endpoint);
        const bool v6 = host.find(':') != host.npos;
        told.address = human + "tcp:" + (v6 ? "[" + host + "]" : host) + ":" +
                       std::to_string(found->endpoint.port);
    } else if (is_abstract(found->local.path)) {
        told.address = prefix + "@" + abstract_name(found->local.path);
    } else {
        const auto path = locate(*found);
        told.address = prefix + (path.empty() ? found->local.path : path);
        if (path.empty()) told.unusable = "the socket's file is gone or cannot be found";
    }
    listeners_.erase(found);
    return told;
}

std::map<int, std::string> process_sockets::listeners() {
    read_all();
    std::map<int, std::string> named;
    for (const auto& each : listeners_) {
        auto name = each.local.path;
        if (is_abstract(name)) name = "@" + abstract_name(name);
        if (each.tcp)
            name =
                "port " + std::to_string(each.endpoint.port) + " of " + format_host(each.endpoint);
        named.emplace(each.descriptor, std::move(name));
    }
    return named;
}

} // namespace vmplug
