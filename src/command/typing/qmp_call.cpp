#include "command/typing/qmp_call.hpp"

#include "monitor/typed_call.hpp"
#include "qapi/control.hpp"

namespace vmplug {
namespace {

using boost::asio::awaitable;
using nlohmann::json;

bool is_unknown(const error& failure) {
    return failure.code == error_code::command_failed &&
           failure.text.starts_with("CommandNotFound");
}

awaitable<std::vector<std::string>> ask_commands(monitor& connection,
                                                 std::chrono::milliseconds deadline) {
    typed_call asked(connection, qapi::query_commands());
    auto names = co_await asked.wait(deadline);
    co_return names.has_value() ? std::move(*names) : std::vector<std::string>();
}

} // namespace

awaitable<result<json>> call_written(monitor& connection, std::string command,
                                     std::string arguments, std::chrono::milliseconds deadline) {
    auto reply = co_await connection.call(command, std::move(arguments), deadline);
    if (!reply.has_error() || !is_unknown(reply.error())) co_return reply;
    auto failure = reply.error();
    const auto names = co_await ask_commands(connection, deadline);
    failure.text += did_you_mean(command, names);
    co_return failure;
}

} // namespace vmplug
