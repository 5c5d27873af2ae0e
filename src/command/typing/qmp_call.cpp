#include "command/typing/qmp_call.hpp"

#include "command/text/json_member.hpp"

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
    std::vector<std::string> names;
    const auto reply = co_await connection.call("query-commands", {}, deadline);
    if (reply.has_error() || !reply->is_array()) co_return names;
    for (const auto& each : *reply)
        names.push_back(text_at(each, "name"));
    co_return names;
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
