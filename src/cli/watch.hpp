#pragma once

#include "command/handle/handlers.hpp"

#include <functional>

namespace vmplug {

/// Runs a verb once a second and hands each answer that differs from the one before to `show`,
/// until `context.stop` or until `show` returns false. A failure ends it and is returned.
boost::asio::awaitable<command_result> watch(const verb& row, command_context& context,
                                             const invocation& values,
                                             std::function<bool(const nlohmann::json&)> show);

} // namespace vmplug
