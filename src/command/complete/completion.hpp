#pragma once

#include "command/complete/candidate.hpp"
#include "command/complete/completion_point.hpp"

#include <vmplug/controller.hpp>

#include <boost/asio/awaitable.hpp>

namespace vmplug {

/// What could be written at `point`: of the table, of this host, and for ports of the guest, which
/// is asked. Whatever cannot be found out is left out.
///
/// Shape: the texts are neither filtered nor safe yet: `format_candidates` sees to both.
boost::asio::awaitable<std::vector<candidate>> complete(const controller& control,
                                                        completion_point point);

} // namespace vmplug
