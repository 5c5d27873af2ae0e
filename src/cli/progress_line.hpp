#pragma once

#include <boost/asio/any_io_executor.hpp>

#include <memory>
#include <string>

namespace vmplug {

/// The line that says what runs, and for how long so far: overwritten in place on a terminal, not
/// there otherwise.
class progress_line {
public:
    explicit progress_line(boost::asio::any_io_executor executor);
    ~progress_line();

    /// From now on that is what runs.
    void show(const std::string& text);

    /// Makes room for other output; the line comes back with its next second.
    void hide();

    /// Nothing runs any more.
    void end();

private:
    struct state;
    std::shared_ptr<state> state_;
};

} // namespace vmplug
