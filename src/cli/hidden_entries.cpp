#include "cli/hidden_entries.hpp"

#include "cli/terminal.hpp"
#include "command/complete/completion.hpp"
#include "command/render/man_page.hpp"

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/io_context.hpp>

#include <csignal>
#include <cstdlib>
#include <string_view>

#include <unistd.h>

namespace vmplug {
namespace {

using std::chrono::milliseconds;

/// A person waits for the Tab key: a guest that does not answer in this time has no candidates.
constexpr milliseconds patience{800};

/// For what cannot be given a deadline, such as a /proc entry of a process that hangs.
constexpr unsigned last_resort_s = 3;

controller_options options_for(const completion_point& point) {
    controller_options options;
    options.one_command = true;
    if (const char* directory = std::getenv("VMPLUG_STATE_DIR"); directory && *directory)
        options.state_directory = directory;
    if (point.given.has("--state-dir")) options.state_directory = point.given.first("--state-dir");
    // A fraction of it is for a monitor that another client holds, where there is a second one.
    options.greeting_deadline = patience;
    return options;
}

std::string complete_words(const std::vector<std::string>& words) {
    const auto point = find_completion_point(words);
    const controller control(options_for(point));
    std::vector<candidate> found;
    boost::asio::io_context io{1};
    boost::asio::co_spawn(io, complete(control, point),
                          [&](std::exception_ptr failed, std::vector<candidate> all) {
                              if (!failed) found = std::move(all);
                          });
    io.run_for(patience);
    return format_candidates(found, point.before, point.word);
}

/// Never says what went wrong: the person is in the middle of a line.
int run_completion(const std::vector<std::string>& words) {
    std::signal(SIGALRM, [](int) { ::_exit(0); });
    ::alarm(last_resort_s);
    try {
        write_output(complete_words(words));
    } catch (const std::exception&) {
        return 0;
    }
    return 0;
}

} // namespace

std::optional<int> run_hidden_entry(int argc, char** argv) {
    const std::string_view name = argc > 1 ? argv[1] : "";
    if (name == "__complete") return run_completion({argv + 2, argv + argc});
    if (name == "__man_page") return write_output(man_page(VMPLUG_VERSION)) ? 0 : 1;
    return std::nullopt;
}

} // namespace vmplug
