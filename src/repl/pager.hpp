#pragma once

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/awaitable.hpp>

#include <string>

namespace vmplug {

/// Whether `text` is more than the terminal shows at once.
bool is_longer_than_screen(const std::string& text);

/// Shows `text` in the person's pager ($PAGER, else less), which has the terminal until it ends;
/// the event loop goes on meanwhile. No shell is started, neither here nor from within less.
///
/// Returns false, having shown nothing, when there is no pager.
boost::asio::awaitable<bool> page(boost::asio::any_io_executor executor, std::string text);

} // namespace vmplug
