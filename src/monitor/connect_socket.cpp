#include "monitor/connect_socket.hpp"

#include <boost/asio/as_tuple.hpp>
#include <boost/asio/connect.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/local/stream_protocol.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/this_coro.hpp>
#include <boost/asio/use_awaitable.hpp>

#include <cerrno>
#include <cstring>
#include <utility>

#include <sys/socket.h>
#include <sys/stat.h>

namespace vmplug {
namespace {

namespace asio = boost::asio;
using std::chrono::milliseconds;
using std::chrono::steady_clock;

constexpr milliseconds backlog_retry{50};

/// There may be a QEMU with a monitor: this address is not it.
error nobody_there(const std::string& where, std::string text) {
    return {error_code::no_monitor, where, std::move(text),
            std::string(explain(error_code::monitor_gone).remedy)};
}

error connect_failure(const std::string& where, int reason) {
    const std::string words = std::strerror(reason);
    if (reason == EACCES || reason == EPERM)
        return {error_code::permission_denied, where, "cannot connect: " + words, {}};
    if (reason == EAGAIN)
        return {error_code::monitor_busy, where, "other clients are waiting for it already", {}};
    return nobody_there(where, "cannot connect: " + words);
}

/// A Unix socket is connected at once or not at all. Asio's async_connect takes EAGAIN (the
/// backlog is full) for "in progress" and then reports success on a socket that is not connected;
/// so the system call is made here.
asio::awaitable<result<stream_socket>> connect_unix(std::string path, milliseconds deadline) {
    const asio::local::stream_protocol::endpoint endpoint(path);
    const auto end = steady_clock::now() + deadline;
    for (;;) {
        asio::local::stream_protocol::socket socket(co_await asio::this_coro::executor);
        socket.open();
        socket.native_non_blocking(true);
        if (::connect(socket.native_handle(), endpoint.data(),
                      static_cast<socklen_t>(endpoint.size())) == 0)
            co_return stream_socket(std::move(socket));
        const int reason = errno;
        if (reason != EAGAIN || steady_clock::now() >= end) co_return connect_failure(path, reason);
        asio::steady_timer pause(co_await asio::this_coro::executor, backlog_retry);
        co_await pause.async_wait(asio::use_awaitable);
    }
}

asio::awaitable<result<stream_socket>> connect_tcp(monitor_address address, milliseconds deadline) {
    const auto where = format_monitor_address(address);
    const auto executor = co_await asio::this_coro::executor;
    asio::ip::tcp::resolver resolver(executor);
    auto [unresolved, endpoints] = co_await resolver.async_resolve(
        address.host, std::to_string(address.port), asio::as_tuple(asio::use_awaitable));
    if (unresolved) co_return nobody_there(where, unresolved.message());
    asio::ip::tcp::socket socket(executor);
    asio::steady_timer timer(executor, deadline);
    bool expired = false;
    auto on_expiry = [&](boost::system::error_code aborted) {
        if (aborted) return;
        expired = true;
        socket.close();
    };
    timer.async_wait(on_expiry);
    auto [failure, used] =
        co_await asio::async_connect(socket, endpoints, asio::as_tuple(asio::use_awaitable));
    // A handler that is already queued refers to this frame: it has to run before we leave.
    if (timer.cancel() == 0 && !expired) {
        co_await asio::post(executor, asio::use_awaitable);
    }
    if (failure && expired) co_return nobody_there(where, "it does not answer");
    if (failure) co_return connect_failure(where, failure.value());
    socket.set_option(asio::ip::tcp::no_delay(true));
    co_return stream_socket(std::move(socket));
}

} // namespace

asio::awaitable<result<stream_socket>> connect_socket(monitor_address address,
                                                      milliseconds deadline) {
    if (address.path.empty()) return connect_tcp(std::move(address), deadline);
    return connect_unix(std::move(address.path), deadline);
}

} // namespace vmplug
