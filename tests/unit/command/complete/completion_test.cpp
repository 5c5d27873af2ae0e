#include "command/complete/completion.hpp"
#include "journal/journal.hpp"

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/io_context.hpp>
#include <doctest/doctest.h>

#include <filesystem>

#include <unistd.h>

using namespace vmplug;

namespace {

struct temporary_directory {
    temporary_directory() {
        std::string pattern = "/tmp/vmplug-completion-XXXXXX";
        REQUIRE(::mkdtemp(pattern.data()) != nullptr);
        path = pattern;
    }
    ~temporary_directory() { std::filesystem::remove_all(path); }
    std::string path;
};

/// The lines that a shell would get.
std::string shown(const std::string& directory, std::vector<std::string> words) {
    controller_options options;
    options.state_directory = directory;
    const controller control(options);
    const auto point = find_completion_point(words);
    std::string text;
    boost::asio::io_context io{1};
    boost::asio::co_spawn(io, complete(control, point),
                          [&](std::exception_ptr failed, std::vector<candidate> found) {
                              REQUIRE_FALSE(failed);
                              text = format_candidates(found, point.before, point.word);
                          });
    io.run();
    return text;
}

void save(journal& records, operation_kind kind, fields subject) {
    operation_record record;
    record.kind = kind;
    record.state = operation_state::closed;
    record.ended = outcome::done;
    record.subject = std::move(subject);
    REQUIRE(records.save(record).has_value());
}

} // namespace

TEST_CASE("detach is offered the ids that the guest was given, and nothing that is no word") {
    temporary_directory directory;
    auto records = journal::open(directory.path).value();
    const std::string device = "0000:01:00.0";
    save(records, operation_kind::attach, {{"guest", "web"}, {"id", "nic0"}, {"device", device}});
    save(records, operation_kind::attach, {{"guest", "db"}, {"guest_pid", "7"}, {"id", "nic1"}});
    save(records, operation_kind::attach, {{"guest", "web"}, {"id", "$(reboot)"}});
    save(records, operation_kind::bind, {{"device", device}});
    CHECK(shown(directory.path, {"detach", "web", ""}) == "nic0\t0000:01:00.0\n");
    CHECK(shown(directory.path, {"detach", "7", ""}) == "nic1\n");
    CHECK(shown(directory.path, {"detach", "nobody", ""}) == "");
}

TEST_CASE("without a journal or a guest there is nothing to offer") {
    CHECK(shown("/nonexistent", {"detach", "web", ""}) == "");
    CHECK(shown("/dev/null", {"detach", "web", ""}) == "");
    CHECK(shown("/nonexistent", {"attach", "nobody", "01:00.0", "--port", ""}) == "");
    CHECK(shown("/nonexistent", {"attach", "--port", ""}) == "");
}
