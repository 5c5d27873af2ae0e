#pragma once

#include <boost/asio/awaitable.hpp>

#include <vector>

namespace vmplug {

/// Runs all of them at once, on the executor of the caller, and returns when the last has ended.
/// What one throws is thrown again then.
boost::asio::awaitable<void> side_by_side(std::vector<boost::asio::awaitable<void>> all);

} // namespace vmplug
