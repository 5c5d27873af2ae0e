#pragma once

#include "repl/guest_connection.hpp"

namespace vmplug {

/// The words that may stand where `before` (the line up to the cursor) ends: commands of the guest
/// and of the REPL, arguments with a '=' behind them, enumerations, device models and their
/// properties, ids, buses. `guest` may be nullptr.
boost::asio::awaitable<std::vector<std::string>> complete_qmp(guest_connection* guest,
                                                              std::string before);

} // namespace vmplug
