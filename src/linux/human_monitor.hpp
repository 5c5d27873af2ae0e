#pragma once

#include "port/guest_link.hpp"

#include <vmplug/hmp_monitor.hpp>

#include <functional>

namespace vmplug {

/// Runs one line of a human monitor, however it is reached; errors as of `hmp_monitor::call`.
using hmp_line_runner =
    std::function<boost::asio::awaitable<result<std::string>>(std::string line, call_limit limit)>;

/// Runs a line through QMP's human-monitor-command: the same text, exactly framed.
boost::asio::awaitable<result<std::string>> run_hmp_line(monitor& through, std::string line,
                                                         call_limit limit);

/// What a guest's QEMU tells over a human monitor. The limit is for all of its lines.
boost::asio::awaitable<result<guest_facts>> survey_over_hmp(hmp_line_runner run,
                                                            std::string version, call_limit limit);

/// How a device is seen in `info qtree`, or in `info pci` where that is not known.
boost::asio::awaitable<result<guest_sight>> look_over_hmp(hmp_line_runner run, std::string qdev_id,
                                                          call_limit limit);

/// The line of a device_add, from its JSON object: `device_add pci-assign,host=01:00.0,id=x`.
result<std::string> device_add_line(const std::string& arguments);

} // namespace vmplug
