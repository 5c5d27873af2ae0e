#pragma once

#include "command/complete/candidate.hpp"
#include "repl/guest_connection.hpp"

namespace vmplug {

/// The words that may stand where `before` (the line up to the cursor) ends: verbs of the table
/// with their options, guests, devices and ids; commands of the guest and of the REPL, arguments
/// with a '=' behind them, enumerations, device models and their properties with type and default,
/// ids, buses. `guest` is the one in use and may be nullptr.
///
/// Shape: whole words, not filtered yet by what is written; descriptions are raw text.
boost::asio::awaitable<std::vector<candidate>>
complete_line(const controller& control, guest_connection* guest, std::string before);

} // namespace vmplug
