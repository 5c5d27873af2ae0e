#include "monitor/connect_socket.hpp"

#include "system/network_namespace.hpp"

#include <boost/asio/as_tuple.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/local/stream_protocol.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/this_coro.hpp>
#include <boost/asio/use_awaitable.hpp>

#include <algorithm>
#include <cerrno>
#include <cstddef>
#include <cstring>
#include <utility>
#include <vector>

#include <fcntl.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

namespace vmplug {
namespace {

namespace asio = boost::asio;
using std::chrono::milliseconds;
using std::chrono::steady_clock;

constexpr milliseconds backlog_retry{50};

/// There may be a QEMU with a monitor: this address is not it.
error nobody_there(const std::string& where, std::string text) {
    return {error_code::no_monitor, where, std::move(text), {}, advice::list_guests};
}

error connect_failure(const std::string& where, int reason) {
    const std::string words = std::strerror(reason);
    if (reason == EACCES || reason == EPERM)
        return {error_code::permission_denied, where, "cannot connect: " + words, {}};
    if (reason == EAGAIN)
        return {error_code::monitor_busy, where, "other clients are waiting for it already", {}};
    return nobody_there(where, "cannot connect: " + words);
}

/// Closes what it holds.
struct held_file {
    int value = -1;
    held_file() = default;
    explicit held_file(int opened) : value(opened) {}
    held_file(const held_file&) = delete;
    held_file& operator=(const held_file&) = delete;
    ~held_file() {
        if (value >= 0) ::close(value);
    }
};

/// One try at a Unix socket: 0, or why not. A Unix socket is connected at once or not at all.
/// Asio's async_connect takes EAGAIN (the backlog is full) for "in progress" and then reports
/// success on a socket that is not connected; so the system call is made here.
int connect_now(int socket, const std::string& name) {
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    std::memcpy(address.sun_path, name.data(), std::min(name.size(), sizeof address.sun_path));
    const bool abstract = name.front() == '\0';
    const auto size = offsetof(sockaddr_un, sun_path) + name.size() + (abstract ? 0 : 1);
    return ::connect(socket, reinterpret_cast<const sockaddr*>(&address),
                     static_cast<socklen_t>(std::min(size, sizeof address))) == 0
               ? 0
               : errno;
}

/// The names by which the kernel may know the socket. `file` keeps open what one of them needs.
std::vector<std::string> names_of(const monitor_address& address, held_file& file) {
    constexpr std::size_t name_length_max = sizeof(sockaddr_un{}.sun_path);
    if (address.abstract) {
        // QEMU pads the name with zero bytes where it is told tight=off.
        auto tight = std::string(1, '\0') + address.path;
        auto padded = tight;
        padded.resize(name_length_max);
        return {std::move(tight), std::move(padded)};
    }
    if (address.path.size() < name_length_max) return {address.path};
    file.value = ::open(address.path.c_str(), O_PATH | O_CLOEXEC);
    if (file.value < 0) return {};
    return {"/proc/self/fd/" + std::to_string(file.value)};
}

int connect_any(int socket, const std::vector<std::string>& names) {
    int reason = errno;
    for (const auto& name : names) {
        reason = connect_now(socket, name);
        if (reason != ECONNREFUSED) return reason;
    }
    return reason;
}

asio::awaitable<result<stream_socket>> connect_unix(monitor_address address,
                                                    monitor_options options) {
    const auto end = steady_clock::now() + options.greeting_deadline;
    // A path means the same everywhere; an abstract name belongs to a network namespace.
    const auto network = address.abstract ? options.network_of : 0;
    for (;;) {
        const auto opened = open_socket_of(network, AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0);
        if (opened.has_error()) co_return opened.error();
        asio::local::stream_protocol::socket socket(co_await asio::this_coro::executor,
                                                    asio::local::stream_protocol(), *opened);
        held_file file;
        const int reason = connect_any(*opened, names_of(address, file));
        if (reason == 0) co_return stream_socket(std::move(socket));
        if (reason != EAGAIN || steady_clock::now() >= end)
            co_return connect_failure(format_monitor_address(address), reason);
        asio::steady_timer pause(co_await asio::this_coro::executor, backlog_retry);
        co_await pause.async_wait(asio::use_awaitable);
    }
}

using tcp = asio::ip::tcp;

asio::awaitable<result<std::vector<tcp::endpoint>>> resolve(const monitor_address& address) {
    std::vector<tcp::endpoint> endpoints;
    boost::system::error_code named;
    const auto numeric = asio::ip::make_address(address.host, named);
    if (!named) {
        endpoints.emplace_back(numeric, address.port);
        co_return endpoints;
    }
    tcp::resolver resolver(co_await asio::this_coro::executor);
    auto [unresolved, found] = co_await resolver.async_resolve(
        address.host, std::to_string(address.port), asio::as_tuple(asio::use_awaitable));
    if (unresolved) co_return nobody_there(format_monitor_address(address), unresolved.message());
    for (const auto& each : found)
        endpoints.push_back(each.endpoint());
    co_return endpoints;
}

/// One after the other, each in the network namespace that is meant.
asio::awaitable<boost::system::error_code>
connect_first(tcp::socket& socket, const std::vector<tcp::endpoint>& endpoints,
              std::int32_t network, const bool& expired) {
    boost::system::error_code failure = asio::error::host_not_found;
    for (const auto& endpoint : endpoints) {
        const auto opened =
            open_socket_of(network, endpoint.protocol().family(), SOCK_STREAM, IPPROTO_TCP);
        if (opened.has_error()) {
            failure = boost::system::error_code(EACCES, boost::system::system_category());
            continue;
        }
        boost::system::error_code ignored;
        socket.close(ignored);
        socket.assign(endpoint.protocol(), *opened);
        auto [failed] =
            co_await socket.async_connect(endpoint, asio::as_tuple(asio::use_awaitable));
        failure = failed;
        if (!failure || expired) break;
    }
    co_return failure;
}

asio::awaitable<result<stream_socket>> connect_tcp(monitor_address address,
                                                   monitor_options options) {
    const auto where = format_monitor_address(address);
    const auto executor = co_await asio::this_coro::executor;
    const auto endpoints = co_await resolve(address);
    if (endpoints.has_error()) co_return endpoints.error();
    tcp::socket socket(executor);
    asio::steady_timer timer(executor, options.greeting_deadline);
    bool expired = false;
    auto on_expiry = [&](boost::system::error_code aborted) {
        if (aborted) return;
        expired = true;
        socket.close();
    };
    timer.async_wait(on_expiry);
    const auto failure = co_await connect_first(socket, *endpoints, options.network_of, expired);
    // A handler that is already queued refers to this frame: it has to run before we leave.
    if (timer.cancel() == 0 && !expired) {
        co_await asio::post(executor, asio::use_awaitable);
    }
    if (expired) co_return nobody_there(where, "it does not answer");
    if (failure) co_return connect_failure(where, failure.value());
    socket.set_option(tcp::no_delay(true));
    co_return stream_socket(std::move(socket));
}

} // namespace

asio::awaitable<result<stream_socket>> connect_socket(monitor_address address,
                                                      monitor_options options) {
    if (address.path.empty()) return connect_tcp(std::move(address), options);
    return connect_unix(std::move(address), options);
}

} // namespace vmplug
