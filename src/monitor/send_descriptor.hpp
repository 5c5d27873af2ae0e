#pragma once

#include <boost/system/result.hpp>

#include <cstddef>
#include <string_view>

namespace vmplug {

/// Sends as much of `text` as fits, and `descriptor` with its first byte (SCM_RIGHTS).
/// Returns the bytes sent, at least one.
boost::system::result<std::size_t> send_descriptor(int socket, std::string_view text,
                                                   int descriptor);

} // namespace vmplug
