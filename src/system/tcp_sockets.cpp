#include "system/tcp_sockets.hpp"

#include <algorithm>
#include <charconv>
#include <cstring>

#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>

namespace vmplug {
namespace {

constexpr std::array<unsigned char, 12> mapped_prefix{0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff};

void set_ipv4(tcp_endpoint& endpoint, const void* address) {
    std::ranges::copy(mapped_prefix, endpoint.host.begin());
    std::memcpy(endpoint.host.data() + 12, address, 4);
}

template <class Number>
bool parse_hexadecimal(std::string_view text, Number& value) {
    const auto [end, failure] = std::from_chars(text.data(), text.data() + text.size(), value, 16);
    return failure == std::errc() && end == text.data() + text.size();
}

/// "0100007F:0FA0": the words of the address as this machine keeps them, and the port.
bool parse_endpoint(std::string_view text, tcp_endpoint& endpoint) {
    const auto colon = text.find(':');
    if ((colon != 8 && colon != 32) || !parse_hexadecimal(text.substr(colon + 1), endpoint.port))
        return false;
    std::array<std::uint32_t, 4> words{};
    for (std::size_t i = 0; i < colon / 8; ++i)
        if (!parse_hexadecimal(text.substr(i * 8, 8), words[i])) return false;
    if (colon == 8)
        set_ipv4(endpoint, words.data());
    else
        std::memcpy(endpoint.host.data(), words.data(), endpoint.host.size());
    return true;
}

std::string_view next_word(std::string_view& line) {
    line.remove_prefix(std::min(line.find_first_not_of(' '), line.size()));
    const auto word = line.substr(0, line.find(' '));
    line.remove_prefix(word.size());
    return word;
}

/// "0: local remote state queues timer retransmits uid timeout inode ..."
bool parse_line(std::string_view line, tcp_socket& found) {
    next_word(line);
    if (!parse_endpoint(next_word(line), found.local) ||
        !parse_endpoint(next_word(line), found.remote))
        return false;
    unsigned state = 0;
    if (!parse_hexadecimal(next_word(line), state)) return false;
    found.listening = state == TCP_LISTEN;
    for (int skipped = 0; skipped < 5; ++skipped)
        next_word(line);
    const auto inode = next_word(line);
    return std::from_chars(inode.data(), inode.data() + inode.size(), found.inode).ec ==
           std::errc();
}

bool take_address(const sockaddr_storage& address, tcp_endpoint& endpoint) {
    if (address.ss_family == AF_INET) {
        sockaddr_in four{};
        std::memcpy(&four, &address, sizeof four);
        set_ipv4(endpoint, &four.sin_addr);
        endpoint.port = ntohs(four.sin_port);
        return true;
    }
    if (address.ss_family != AF_INET6) return false;
    sockaddr_in6 six{};
    std::memcpy(&six, &address, sizeof six);
    std::memcpy(endpoint.host.data(), &six.sin6_addr, endpoint.host.size());
    endpoint.port = ntohs(six.sin6_port);
    return true;
}

} // namespace

void for_each_tcp_socket(const file_tree& files, std::int32_t pid,
                         const std::function<bool(const tcp_socket&)>& visit) {
    bool more = true;
    const auto read_line = [&](std::string_view line) {
        tcp_socket found;
        if (parse_line(line, found)) more = visit(found);
        return more;
    };
    const auto directory = "/proc/" + std::to_string(pid) + "/net/";
    files.for_each_line(directory + "tcp", read_line);
    if (more) files.for_each_line(directory + "tcp6", read_line);
}

std::string format_host(const tcp_endpoint& endpoint) {
    char text[INET6_ADDRSTRLEN] = "";
    if (std::equal(mapped_prefix.begin(), mapped_prefix.end(), endpoint.host.begin()))
        ::inet_ntop(AF_INET, endpoint.host.data() + 12, text, sizeof text);
    else
        ::inet_ntop(AF_INET6, endpoint.host.data(), text, sizeof text);
    return text;
}

bool parse_host(const std::string& text, tcp_endpoint& into) {
    in_addr four{};
    if (::inet_pton(AF_INET, text.c_str(), &four) == 1) {
        set_ipv4(into, &four);
        return true;
    }
    return ::inet_pton(AF_INET6, text.c_str(), into.host.data()) == 1;
}

bool read_endpoints(int socket, tcp_endpoint& local, tcp_endpoint& remote) {
    sockaddr_storage ours{}, theirs{};
    socklen_t our_size = sizeof ours, their_size = sizeof theirs;
    return ::getsockname(socket, reinterpret_cast<sockaddr*>(&ours), &our_size) == 0 &&
           ::getpeername(socket, reinterpret_cast<sockaddr*>(&theirs), &their_size) == 0 &&
           take_address(ours, local) && take_address(theirs, remote);
}

} // namespace vmplug
