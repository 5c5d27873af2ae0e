#include "repl/guest_connection.hpp"

#include "command/typing/qmp_typing.hpp"
#include "monitor/typed_call.hpp"
#include "qapi/control.hpp"
#include "qapi/qdev.hpp"
#include "repl/hmp_help.hpp"

#include <boost/asio/as_tuple.hpp>
#include <boost/asio/this_coro.hpp>
#include <boost/asio/use_awaitable.hpp>

#include <algorithm>

namespace vmplug {
namespace {

namespace asio = boost::asio;
using asio::awaitable;
using std::chrono::milliseconds;
using std::chrono::steady_clock;

constexpr milliseconds fetch_deadline{5'000};
/// A person waits in front of it.
constexpr reconnect_pace pace{milliseconds(500), milliseconds(5'000), milliseconds(5'000)};

error closed() {
    return {error_code::monitor_gone, "", "the guest was closed here", {}};
}

} // namespace

guest_connection::guest_connection(const controller& control, std::string name)
    : control_(control), name_(std::move(name)), again_(pace) {}

awaitable<result<monitor*>> guest_connection::open() {
    co_await settled();
    if (is_closed()) co_return closed();
    if (auto* there = connection()) co_return there;
    note_loss();
    opening_ = std::make_shared<asio::steady_timer>(co_await asio::this_coro::executor,
                                                    asio::steady_timer::time_point::max());
    // Also when this is given up.
    const std::shared_ptr<void> after(nullptr, [this](void*) {
        opening_->cancel();
        opening_.reset();
    });
    auto connected = co_await control_.connect(name_);
    if (connected.has_error()) {
        again_.lost(connected.error(), steady_clock::now());
        co_return connected.error();
    }
    if (is_closed()) co_return closed();
    monitor_ = std::move(*connected);
    again_.connected(steady_clock::now());
    wake_listener();
    // It may be another QEMU.
    schema_.reset();
    models_.clear();
    model_names_.clear();
    co_return monitor_.get();
}

void guest_connection::note_loss() {
    if (!again_.is_connected() || connection()) return;
    again_.lost({error_code::connection_lost, name_, "the monitor was closed", {}},
                steady_clock::now());
}

void guest_connection::wake_listener() {
    if (pause_) pause_->cancel();
}

awaitable<monitor*> guest_connection::reopen() {
    const auto executor = co_await asio::this_coro::executor;
    while (!is_closed()) {
        if (auto* there = connection()) co_return there;
        note_loss();
        const auto next = again_.next();
        // A guest that is named may come back as another process: it is waited for.
        const auto due = std::get<reconnect_policy::try_at>(next).when;
        if (due <= steady_clock::now()) {
            const auto tried = co_await open();
            if (tried.has_value()) co_return *tried;
            continue;
        }
        pause_ = std::make_shared<asio::steady_timer>(executor, due);
        co_await pause_->async_wait(asio::as_tuple(asio::use_awaitable));
        pause_.reset();
    }
    co_return nullptr;
}

awaitable<void> guest_connection::settled() {
    while (const auto opening = opening_)
        co_await opening->async_wait(asio::as_tuple(asio::use_awaitable));
}

void guest_connection::close() {
    closing_.request_stop();
    monitor_.reset();
    wake_listener();
}

template <class Command>
awaitable<result<typename Command::reply>> guest_connection::ask(Command command) {
    const auto opened = co_await open();
    if (opened.has_error()) co_return opened.error();
    typed_call asked(**opened, command);
    co_return co_await asked.wait(fetch_deadline);
}

awaitable<result<const qmp_schema*>> guest_connection::schema() {
    const auto opened = co_await open();
    if (opened.has_error()) co_return opened.error();
    if (schema_) co_return schema_.get();
    auto made = make_schema(co_await ask(qapi::query_qmp_schema()));
    if (made.has_error()) co_return made.error();
    schema_ = std::make_unique<qmp_schema>(std::move(*made));
    co_return schema_.get();
}

awaitable<const qmp_schema*> guest_connection::known_schema() {
    static const qmp_schema none;
    const auto found = co_await schema();
    co_return found.has_value() ? *found : &none;
}

awaitable<const device_model*> guest_connection::model(std::string type) {
    if (type.empty()) co_return nullptr;
    if (!models_.contains(type)) {
        qapi::device_list_properties command{type};
        auto reply = co_await ask(std::move(command));
        if (reply.has_error()) co_return nullptr;
        models_[type] = make_device_model(type, std::move(*reply));
    }
    co_return &models_[type];
}

/// All that QEMU knows would be `qom-list-types`, for which it loads its modules: one whose package
/// was replaced meanwhile may end there.
awaitable<const std::vector<std::string>*> guest_connection::models() {
    if (model_names_.empty()) {
        std::vector<std::string> names{"vfio-pci"};
        for (const char* place : {"peripheral", "peripheral-anon"}) {
            qapi::qom_list command{std::string("/machine/") + place};
            const auto listed = co_await ask(std::move(command));
            if (listed.has_error()) continue;
            for (const auto& each : *listed)
                if (const auto type = each.child_type(); !type.empty()) names.emplace_back(type);
        }
        std::ranges::sort(names);
        // clang 14 takes no std::ranges::unique of libstdc++.
        names.erase(std::unique(names.begin(), names.end()), names.end());
        model_names_ = std::move(names);
    }
    co_return &model_names_;
}

awaitable<std::vector<candidate>> guest_connection::hmp_commands(std::string below) {
    qapi::human_monitor_command command{below.empty() ? "help" : "help " + below};
    const auto reply = co_await ask(std::move(command));
    co_return reply.has_value() ? parse_hmp_help(*reply, below) : std::vector<candidate>();
}

awaitable<std::vector<std::string>> guest_connection::device_ids() {
    std::vector<std::string> names;
    qapi::qom_list command{"/machine/peripheral"};
    const auto listed = co_await ask(std::move(command));
    if (listed.has_value())
        for (const auto& each : *listed)
            if (each.name != "type") names.push_back(each.name);
    std::ranges::sort(names);
    co_return names;
}

} // namespace vmplug
