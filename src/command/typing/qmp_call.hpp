#pragma once

#include <vmplug/monitor.hpp>

#include <nlohmann/json.hpp>

namespace vmplug {

/// `monitor::call` of a command that a person wrote: where QEMU has no such one, the error says
/// which may have been meant.
boost::asio::awaitable<result<nlohmann::json>> call_written(monitor& connection,
                                                            std::string command,
                                                            std::string arguments,
                                                            std::chrono::milliseconds deadline);

} // namespace vmplug
