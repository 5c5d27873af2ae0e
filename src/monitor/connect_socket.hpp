#pragma once

#include <vmplug/monitor.hpp>

#include <boost/asio/awaitable.hpp>
#include <boost/asio/generic/stream_protocol.hpp>

namespace vmplug {

using stream_socket = boost::asio::generic::stream_protocol::socket;

/// Connects to a listening socket, Unix or TCP, within `greeting_deadline`.
/// Errors: `no_monitor`, `permission_denied`, `monitor_busy` (its backlog stays full).
boost::asio::awaitable<result<stream_socket>> connect_socket(monitor_address address,
                                                             monitor_options options);

} // namespace vmplug
