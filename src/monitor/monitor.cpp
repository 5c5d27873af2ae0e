#include "monitor/connect_socket.hpp"
#include "monitor/send_descriptor.hpp"
#include "monitor/typed_events.hpp"
#include "qmp/session.hpp"

#include <vmplug/monitor.hpp>

#include <boost/asio/as_tuple.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/this_coro.hpp>
#include <boost/asio/use_awaitable.hpp>
#include <boost/asio/write.hpp>

#include <algorithm>
#include <array>
#include <deque>
#include <map>
#include <utility>
#include <vector>

#include <sys/random.h>

namespace vmplug {
namespace {

namespace asio = boost::asio;
using nlohmann::json;
using std::chrono::milliseconds;

constexpr std::size_t read_size = 65536;
constexpr std::size_t node_size = 72; ///< of a member of an object, beside its name and value

std::string random_id() {
    std::array<unsigned char, 16> bytes{};
    if (::getrandom(bytes.data(), bytes.size(), 0) != static_cast<ssize_t>(bytes.size()))
        throw std::runtime_error("the kernel gives no random numbers");
    std::string id;
    for (const auto byte : bytes) {
        id += "0123456789abcdef"[byte >> 4];
        id += "0123456789abcdef"[byte & 15];
    }
    return id;
}

/// What a value takes in memory, about: a message of many small ones takes much more than its text.
std::size_t bytes_of(const json& value) {
    std::size_t bytes = sizeof value;
    if (const auto* text = value.get_ptr<const std::string*>()) bytes += text->capacity();
    if (const auto* object = value.get_ptr<const json::object_t*>())
        for (const auto& [name, each] : *object)
            bytes += node_size + name.capacity() + bytes_of(each);
    if (value.is_array())
        for (const auto& each : value)
            bytes += bytes_of(each);
    return bytes;
}

/// An event as it came, read once for all subscribers, whether they want it typed or as text.
struct reported_event {
    explicit reported_event(qmp::event happened)
        : raw(std::move(happened)), bytes(sizeof *this + raw.name.size() + bytes_of(raw.data)) {
        auto parsed = qapi::parse_event(raw.name, raw.data);
        typed = parsed.has_value() ? std::move(*parsed) : qapi::other{raw.name};
    }

    qmp::event raw;
    qapi::event typed;
    std::size_t bytes;
};

} // namespace

struct event_queue::state {
    using reported = std::shared_ptr<const reported_event>;

    state(const asio::any_io_executor& executor, std::size_t most, std::size_t most_bytes)
        : wake(executor), size_max(most), bytes_max(most_bytes) {}

    void add(reported event) {
        bytes += event->bytes;
        events.push_back(std::move(event));
        while (!events.empty() && (events.size() > size_max || bytes > bytes_max)) {
            take();
            ++dropped;
        }
    }

    reported take() {
        auto first = std::move(events.front());
        events.pop_front();
        bytes -= first->bytes;
        return first;
    }

    /// The next one, null at the deadline. Errors: `monitor_gone`.
    static asio::awaitable<result<reported>> next(std::shared_ptr<state> queue,
                                                  milliseconds deadline, std::stop_token stop);

    asio::steady_timer wake;
    std::deque<reported> events;
    std::size_t size_max;
    std::size_t bytes_max;
    std::size_t bytes = 0;
    std::uint64_t dropped = 0;
    std::optional<error> ended;
};

struct pending_call::state {
    state(std::shared_ptr<monitor::connection> shared, const asio::any_io_executor& executor)
        : owner(std::move(shared)), wake(executor) {}

    std::shared_ptr<monitor::connection> owner;
    asio::steady_timer wake;
    qmp::call_number number = 0;
    std::string command;
    std::optional<result<json>> answer;
};

/// What the reader, the writer and the calls share. The reader keeps it alive until the socket is
/// closed.
struct monitor::connection : std::enable_shared_from_this<monitor::connection> {
    connection(stream_socket connected, monitor_address from, const monitor_options& chosen)
        : socket(std::move(connected)), address(format_monitor_address(from)), options(chosen),
          session(random_id()), changed(socket.get_executor()) {}

    stream_socket socket;
    std::string address;
    monitor_options options;
    qmp::session session;
    int sharers = 0;            ///< `monitor`s on this connection: it ends with the last one
    asio::steady_timer changed; ///< ends early when the session became ready or closed
    bool writing = false;
    std::optional<error> ended;
    std::string version;
    std::map<qmp::call_number, std::weak_ptr<pending_call::state>> calls;
    std::vector<std::weak_ptr<event_queue::state>> queues;

    asio::awaitable<void> read_all();
    asio::awaitable<void> write_all();
    asio::awaitable<boost::system::error_code> write_one(const qmp::outgoing& message);
    void start_writing();
    void stop(error why);
    void deliver();
    void deliver(qmp::completed done);
    void deliver(qmp::event happened);
    void deliver(const qmp::closed& over);
};

asio::awaitable<void> monitor::connection::read_all() {
    const auto self = shared_from_this();
    std::vector<char> buffer(read_size);
    while (!ended) {
        auto [failure, size] = co_await socket.async_read_some(asio::buffer(buffer),
                                                               asio::as_tuple(asio::use_awaitable));
        if (failure) {
            const bool closed = failure == asio::error::eof;
            stop({error_code::monitor_gone,
                  address,
                  closed ? "QEMU closed the monitor" : failure.message(),
                  {}});
            co_return;
        }
        session.receive(std::string_view(buffer.data(), size));
        deliver();
        start_writing();
    }
}

asio::awaitable<boost::system::error_code>
monitor::connection::write_one(const qmp::outgoing& message) {
    std::size_t sent = 0;
    if (message.descriptor >= 0) {
        auto [waited] = co_await socket.async_wait(stream_socket::wait_write,
                                                   asio::as_tuple(asio::use_awaitable));
        if (waited) co_return waited;
        // The descriptor goes with the first byte and never again, however much of the text fits.
        const auto first =
            send_descriptor(socket.native_handle(), message.text, message.descriptor);
        if (first.has_error()) co_return first.error();
        sent = *first;
    }
    auto [failure, size] = co_await asio::async_write(socket, asio::buffer(message.text) + sent,
                                                      asio::as_tuple(asio::use_awaitable));
    co_return failure;
}

/// The one writer: a caller that is cancelled leaves no half command on the wire.
asio::awaitable<void> monitor::connection::write_all() {
    const auto self = shared_from_this();
    while (auto message = session.next_write()) {
        const auto failure = co_await write_one(*message);
        if (!failure) continue;
        stop({error_code::monitor_gone, address, failure.message(), {}});
        break;
    }
    writing = false;
}

void monitor::connection::start_writing() {
    if (writing || ended) return;
    writing = true;
    asio::co_spawn(socket.get_executor(), write_all(), asio::detached);
}

void monitor::connection::stop(error why) {
    session.disconnect(std::move(why));
    deliver();
}

void monitor::connection::deliver() {
    while (auto output = session.next_output()) {
        if (auto* done = std::get_if<qmp::completed>(&*output)) deliver(std::move(*done));
        if (auto* happened = std::get_if<qmp::event>(&*output)) deliver(std::move(*happened));
        if (auto* over = std::get_if<qmp::closed>(&*output)) deliver(*over);
        if (std::holds_alternative<qmp::ready>(*output)) changed.cancel();
    }
    if (session.peer() && version.empty()) version = session.peer()->version;
}

void monitor::connection::deliver(qmp::completed done) {
    const auto found = calls.find(done.call);
    if (found == calls.end()) return;
    const auto call = found->second.lock();
    calls.erase(found);
    if (!call) return;
    call->answer.emplace(std::move(done.answer));
    call->wake.cancel();
}

void monitor::connection::deliver(qmp::event happened) {
    std::erase_if(queues, [](const auto& each) { return each.expired(); });
    if (queues.empty()) return;
    const auto shared = std::make_shared<const reported_event>(std::move(happened));
    for (const auto& each : queues) {
        const auto queue = each.lock();
        queue->add(shared);
        queue->wake.cancel();
    }
}

void monitor::connection::deliver(const qmp::closed& over) {
    ended = over.why;
    if (ended->where.empty() || ended->where == "QMP") ended->where = address;
    boost::system::error_code ignored;
    socket.close(ignored);
    changed.cancel();
    for (const auto& each : queues)
        if (const auto queue = each.lock()) {
            queue->ended = ended;
            queue->wake.cancel();
        }
}

event_queue::event_queue(std::shared_ptr<state> shared) : state_(std::move(shared)) {}
event_queue::~event_queue() = default;
event_queue::event_queue(event_queue&&) noexcept = default;
event_queue& event_queue::operator=(event_queue&&) noexcept = default;

std::uint64_t event_queue::dropped() const {
    return state_->dropped;
}

asio::awaitable<result<event_queue::state::reported>>
event_queue::state::next(std::shared_ptr<state> queue, milliseconds deadline,
                         std::stop_token stop) {
    if (queue->events.empty() && !queue->ended && !stop.stop_requested()) {
        queue->wake.expires_after(deadline);
        const std::stop_callback wake_up(stop, [&queue] { queue->wake.cancel(); });
        co_await queue->wake.async_wait(asio::as_tuple(asio::use_awaitable));
    }
    if (queue->events.empty() && queue->ended) co_return *queue->ended;
    if (queue->events.empty()) co_return reported();
    co_return queue->take();
}

asio::awaitable<result<std::optional<monitor_event>>> event_queue::next(milliseconds deadline,
                                                                        std::stop_token stop) {
    const auto event = co_await state::next(state_, deadline, std::move(stop));
    if (event.has_error()) co_return event.error();
    if (!*event) co_return std::optional<monitor_event>();
    const auto& raw = (*event)->raw;
    monitor_event made{raw.name, {}, raw.timestamp_us};
    if (!raw.data.is_null()) made.data = qmp::format_json(raw.data);
    co_return std::optional(std::move(made));
}

asio::awaitable<result<std::optional<qapi::event>>>
typed_events::next(event_queue& from, milliseconds deadline, std::stop_token stop) {
    const auto event = co_await event_queue::state::next(from.state_, deadline, std::move(stop));
    if (event.has_error()) co_return event.error();
    if (!*event) co_return std::optional<qapi::event>();
    co_return std::optional((*event)->typed);
}

pending_call::pending_call(std::shared_ptr<state> shared) : state_(std::move(shared)) {}
pending_call::pending_call(pending_call&&) noexcept = default;
pending_call& pending_call::operator=(pending_call&&) noexcept = default;

pending_call::~pending_call() {
    if (!state_ || state_->answer) return;
    state_->owner->session.forget(state_->number);
    // A QEMU that never answers must not fill the table.
    state_->owner->calls.erase(state_->number);
}

asio::awaitable<result<json>> pending_call::wait(milliseconds deadline, std::stop_token stop) {
    const auto call = state_;
    bool cancelled = stop.stop_requested();
    if (!call->answer && !cancelled) {
        call->wake.expires_after(deadline);
        const std::stop_callback wake_up(stop, [&call] { call->wake.cancel(); });
        co_await call->wake.async_wait(asio::as_tuple(asio::use_awaitable));
        const auto cancellation = co_await asio::this_coro::cancellation_state;
        cancelled =
            stop.stop_requested() || cancellation.cancelled() != asio::cancellation_type::none;
    }
    if (call->answer) co_return *call->answer;
    const bool sent = call->owner->session.forget(call->number);
    const std::string after = sent ? "; it may still run" : "; it was not sent";
    if (cancelled)
        co_return error{error_code::cancelled, call->command, "the call was given up" + after, {}};
    co_return error{error_code::timed_out,
                    call->command,
                    "QEMU has not answered within " + std::to_string(deadline.count()) + " ms" +
                        after,
                    {}};
}

monitor::monitor(std::shared_ptr<connection> shared) : connection_(std::move(shared)) {
    ++connection_->sharers;
}

monitor::~monitor() {
    if (--connection_->sharers > 0) return;
    connection_->stop(
        {error_code::monitor_gone, connection_->address, "the monitor was closed", {}});
}

asio::awaitable<result<std::unique_ptr<monitor>>> monitor::connect(monitor_address address,
                                                                   monitor_options options) {
    auto socket = co_await connect_socket(address, options);
    if (socket.has_error()) co_return socket.error();
    const auto shared = std::make_shared<connection>(std::move(*socket), address, options);
    std::unique_ptr<monitor> made(new monitor(shared));
    asio::co_spawn(shared->socket.get_executor(), shared->read_all(), asio::detached);
    shared->changed.expires_after(options.greeting_deadline);
    if (!shared->session.is_ready() && !shared->ended)
        co_await shared->changed.async_wait(asio::as_tuple(asio::use_awaitable));
    if (shared->session.is_ready()) co_return std::move(made);
    if (shared->ended && shared->ended->code == error_code::protocol_violation)
        shared->ended->remedy = "a human monitor is named with hmp:PATH";
    if (shared->ended) co_return *shared->ended;
    if (shared->session.peer())
        co_return error{
            error_code::monitor_silent, shared->address, "it greets, but does not answer", {}};
    co_return error{error_code::monitor_busy,
                    shared->address,
                    "connected, but no greeting came: another client holds the monitor, or QEMU "
                    "is stopped",
                    {}};
}

pending_call monitor::start(std::string command, std::string arguments, int descriptor) {
    const auto executor = connection_->socket.get_executor();
    auto call = std::make_shared<pending_call::state>(connection_, executor);
    call->command = command;
    qmp::call_options options;
    options.descriptor = descriptor;
    call->number = connection_->session.call(std::move(command), arguments, options);
    connection_->calls.emplace(call->number, call);
    connection_->deliver();
    connection_->start_writing();
    return pending_call(std::move(call));
}

asio::awaitable<result<json>> monitor::call(std::string command, std::string arguments,
                                            milliseconds deadline, std::stop_token stop) {
    auto started = start(std::move(command), std::move(arguments));
    co_return co_await started.wait(deadline, std::move(stop));
}

std::unique_ptr<monitor> monitor::share() const {
    return std::unique_ptr<monitor>(new monitor(connection_));
}

monitor::reference monitor::refer() const {
    reference made;
    made.connection_ = connection_;
    return made;
}

std::unique_ptr<monitor> monitor::reference::share() const {
    const auto open = connection_.lock();
    if (!open || open->ended || open->sharers == 0) return nullptr;
    return std::unique_ptr<monitor>(new monitor(open));
}

event_queue monitor::subscribe() {
    auto state = std::make_shared<event_queue::state>(connection_->socket.get_executor(),
                                                      connection_->options.event_queue_max,
                                                      connection_->options.event_queue_bytes_max);
    state->ended = connection_->ended;
    connection_->queues.push_back(state);
    return event_queue(std::move(state));
}

const std::string& monitor::address() const {
    return connection_->address;
}

const std::string& monitor::version() const {
    return connection_->version;
}

int monitor::descriptor() const {
    return connection_->ended ? -1 : connection_->socket.native_handle();
}

bool monitor::is_open() const {
    return !connection_->ended;
}

} // namespace vmplug
