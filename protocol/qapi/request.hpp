#pragma once

#include <vmplug/error.hpp>

#include <nlohmann/json_fwd.hpp>

#include <string>

namespace vmplug::qapi {

/// A command as the wire takes it.
///
/// Each command of this folder is a struct of its arguments, with
///
///     name           as QEMU knows it
///     reply          what its answer is read into
///     encode()       its arguments: a JSON object's text, as short as can be, since QEMU reads its
///                    monitor byte by byte; empty when it has none
///     parse(answer)  reads what `return` held. Errors: `protocol_violation` when it has another
///                    form; `limit_exceeded` when it lists more than `entries_max`. An entry of a
///                    list that has another form is left out of it.
struct request {
    std::string command;
    std::string arguments;
};

template <class Command>
request make_request(const Command& command) {
    return {std::string(Command::name), command.encode()};
}

/// Of the answer to a command that tells nothing but that it was carried out.
struct nothing {};

/// The longest list that QEMU has, of its objects, has some thousands.
constexpr std::size_t entries_max = 65536;

} // namespace vmplug::qapi
