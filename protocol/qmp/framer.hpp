#pragma once

#include <vmplug/error.hpp>

#include <cstddef>
#include <optional>
#include <string>
#include <string_view>

namespace vmplug::qmp {

/// What a peer may make us hold.
struct limits {
    std::size_t message_bytes_max = std::size_t{16} << 20;
    std::size_t depth_max = 256;
    /// A value of one byte takes a hundred when it is parsed. QEMU's own schema, its longest
    /// answer, has 20,000.
    std::size_t values_max = 500'000;
};

/// Cuts a stream of bytes into JSON objects.
///
/// Objects are framed by the balance of their brackets, not by lines: with `pretty=on` one message
/// spans many lines, and a line break inside of a message means nothing. What stands between two
/// objects must be white space.
///
/// Errors: `limit_exceeded` (too long, too deep, too many values), `protocol_violation` (something
/// else than an object). Both are final: the stream has no place to start again at.
class framer {
public:
    explicit framer(limits bounds = {}) : bounds_(bounds) {}

    void push(std::string_view bytes) { buffer_.append(bytes); }

    /// The next whole object, nothing until there is one.
    result<std::optional<std::string>> next();

private:
    bool scan(char byte);

    limits bounds_;
    std::string buffer_;
    std::size_t scanned_ = 0; ///< bytes of buffer_ that were looked at
    std::size_t depth_ = 0;
    std::size_t values_ = 0; ///< at least as many as the object has
    bool in_string_ = false;
    bool escaped_ = false;
};

} // namespace vmplug::qmp
