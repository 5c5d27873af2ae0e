#include "hmp/session.hpp"
#include "monitor/connect_socket.hpp"

#include <vmplug/hmp_monitor.hpp>

#include <boost/asio/as_tuple.hpp>
#include <boost/asio/buffer.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/asio/write.hpp>

#include <array>

namespace vmplug {
namespace {

namespace asio = boost::asio;
using std::chrono::milliseconds;
using std::chrono::steady_clock;

} // namespace

struct hmp_monitor::connection {
    connection(stream_socket connected, const monitor_address& from)
        : socket(std::move(connected)), address(format_monitor_address(from)) {}

    stream_socket socket;
    std::string address;
    hmp::session session;
    std::string version;
    std::optional<error> ended;
    std::array<char, 65536> buffer{};

    asio::awaitable<result<std::size_t>> read_some(steady_clock::time_point until);
    asio::awaitable<result<std::string>> read_output(milliseconds deadline,
                                                     std::stop_token stop = {});
    error end(error why);
};

error hmp_monitor::connection::end(error why) {
    if (why.where.empty() || why.where == "HMP") why.where = address;
    boost::system::error_code ignored;
    socket.close(ignored);
    ended = why;
    return why;
}

/// Returns 0 when nothing has come until then.
asio::awaitable<result<std::size_t>>
hmp_monitor::connection::read_some(steady_clock::time_point until) {
    asio::steady_timer timer(socket.get_executor(), until);
    // A handler that is queued already may run after this has been given up: it keeps what it
    // needs.
    const auto expired = std::make_shared<bool>(false);
    const auto waiting = std::make_shared<stream_socket*>(&socket);
    const std::shared_ptr<void> after(nullptr, [waiting](void*) { *waiting = nullptr; });
    auto on_expiry = [waiting, expired](boost::system::error_code aborted) {
        if (aborted || !*waiting) return;
        *expired = true;
        boost::system::error_code ignored;
        (*waiting)->cancel(ignored);
    };
    timer.async_wait(on_expiry);
    auto [failure, size] =
        co_await socket.async_read_some(asio::buffer(buffer), asio::as_tuple(asio::use_awaitable));
    timer.cancel();
    *waiting = nullptr;
    if (!failure) co_return size;
    if (*expired && failure == asio::error::operation_aborted) co_return std::size_t{0};
    const bool closed = failure == asio::error::eof;
    co_return error{error_code::connection_lost,
                    address,
                    closed ? "QEMU closed the monitor" : failure.message(),
                    {}};
}

/// Reads until the prompt is there and nothing follows it.
asio::awaitable<result<std::string>> hmp_monitor::connection::read_output(milliseconds deadline,
                                                                          std::stop_token stop) {
    const auto end_of_patience = steady_clock::now() + deadline;
    const std::stop_callback wake(stop, [this] {
        boost::system::error_code ignored;
        socket.cancel(ignored);
    });
    for (;;) {
        const auto quiet = session.quiet_time();
        const auto until =
            quiet ? std::min(end_of_patience, steady_clock::now() + *quiet) : end_of_patience;
        const auto size = co_await read_some(until);
        if (stop.stop_requested())
            co_return end({error_code::cancelled,
                           address,
                           "the call was given up; what was sent may still run",
                           {}});
        if (size.has_error()) co_return end(size.error());
        if (*size == 0 && quiet) co_return session.take_output();
        if (*size > 0) session.receive(std::string_view(buffer.data(), *size));
        if (session.failure()) co_return end(*session.failure());
        if (steady_clock::now() < end_of_patience) continue;
        co_return end({error_code::timed_out,
                       address,
                       "no prompt within " + std::to_string(deadline.count()) +
                           " ms; what was sent may still run",
                       {}});
    }
}

hmp_monitor::hmp_monitor(std::unique_ptr<connection> shared) : connection_(std::move(shared)) {}
hmp_monitor::~hmp_monitor() = default;

asio::awaitable<result<std::unique_ptr<hmp_monitor>>>
hmp_monitor::connect(monitor_address address, monitor_options options) {
    auto socket = co_await connect_socket(address, options);
    if (socket.has_error()) co_return socket.error();
    std::unique_ptr<hmp_monitor> made(
        new hmp_monitor(std::make_unique<connection>(std::move(*socket), address)));
    auto& now = *made->connection_;
    auto banner = co_await now.read_output(options.greeting_deadline);
    if (banner.has_value()) {
        now.version = hmp::parse_version(*banner);
        co_return std::move(made);
    }
    if (banner.error().code != error_code::timed_out) co_return banner.error();
    if (now.session.has_received())
        co_return error{error_code::protocol_violation, now.address,
                        "it never shows the prompt of a human monitor",
                        "check that the socket is a monitor's"};
    co_return error{error_code::monitor_busy,
                    now.address,
                    "connected, but no prompt came: another client holds the monitor, or QEMU is "
                    "stopped",
                    {}};
}

asio::awaitable<result<std::string>> hmp_monitor::call(std::string line, milliseconds deadline,
                                                       std::stop_token stop) {
    auto& now = *connection_;
    if (now.ended) co_return error{error_code::monitor_gone, now.address, now.ended->text, {}};
    const auto text = now.session.begin(line);
    if (text.has_error()) co_return text.error();
    auto [failure, size] = co_await asio::async_write(now.socket, asio::buffer(*text),
                                                      asio::as_tuple(asio::use_awaitable));
    if (failure)
        co_return now.end({error_code::connection_lost, now.address, failure.message(), {}});
    auto output = co_await now.read_output(deadline, std::move(stop));
    if (output.has_error()) co_return output.error();
    co_return hmp::judge(line, std::move(*output));
}

const std::string& hmp_monitor::address() const {
    return connection_->address;
}

const std::string& hmp_monitor::version() const {
    return connection_->version;
}

int hmp_monitor::descriptor() const {
    return connection_->ended ? -1 : connection_->socket.native_handle();
}

bool hmp_monitor::is_open() const {
    return !connection_->ended;
}

} // namespace vmplug
