#include "host/read_processes.hpp"
#include "journal/journal.hpp"
#include "support/qemu_process.hpp"

#include <vmplug/controller.hpp>

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/io_context.hpp>
#include <doctest/doctest.h>

#include <filesystem>

#include <sys/wait.h>

using namespace vmplug;

namespace {

constexpr const char* name = "moira-restarted";

/// A process that has been, and is no more.
process_identity ended_process() {
    const auto pid = ::fork();
    if (pid == 0) ::pause();
    const auto identity = read_identity(file_tree(), pid);
    REQUIRE(identity);
    ::kill(pid, SIGKILL);
    ::waitpid(pid, nullptr, 0);
    return *identity;
}

/// A journal in a directory of its own.
struct state {
    std::string directory;
    state() {
        char made[] = "/tmp/vmplug-assigned.XXXXXX";
        directory = ::mkdtemp(made);
    }
    state(const state&) = delete;
    state& operator=(const state&) = delete;
    ~state() { std::filesystem::remove_all(directory); }

    std::int64_t assign(const process_identity& qemu, const std::string& device,
                        const std::string& monitor) const {
        operation_record record;
        record.kind = operation_kind::attach;
        record.state = operation_state::closed;
        record.ended = outcome::done;
        record.subject = {{"guest", name},
                          {"guest_pid", std::to_string(qemu.pid)},
                          {"guest_start", std::to_string(qemu.start_time)},
                          {"boot_id", qemu.boot_id},
                          {"device", device},
                          {"monitor", monitor},
                          {"id", "nic0"}};
        auto records = journal::open(directory);
        REQUIRE(records.has_value());
        REQUIRE(records->save(record).has_value());
        return record.number;
    }

    operation_report detach(const std::string& guest) const {
        controller_options options;
        options.state_directory = directory;
        controller control(options);
        operation_report report;
        boost::asio::io_context io;
        const auto run = [&]() -> boost::asio::awaitable<void> {
            detach_request request;
            request.id = "nic0";
            operation_options chosen;
            chosen.dry_run = true;
            report = co_await control.detach(guest, request, chosen);
        };
        boost::asio::co_spawn(io, run, boost::asio::detached);
        io.run();
        return report;
    }
};

std::string device_of(const operation_report& report) {
    return field(std::get<planned_operation>(report).planned.subject, "device");
}

} // namespace

TEST_CASE("an assignment belongs to a process, and not to the guest of that name that runs now") {
    const state kept;
    const ::qemu_process qemu({"-name", std::string("guest=") + name});
    const auto running = *read_identity(file_tree(), qemu.pid());
    const auto before = ended_process();
    // The same socket as well: a restart uses the same command line.
    kept.assign(before, "0000:01:00.0", "qmp:" + qemu.path("qmp"));
    for (const auto& guest : {std::string(name), std::to_string(qemu.pid()), qemu.path("qmp")}) {
        const auto report = kept.detach(guest);
        REQUIRE(report.refusals().size() == 1);
        CHECK(report.refusals()[0].code == error_code::not_attached);
    }
    CHECK(kept.detach(name).refusals()[0].text.find("0000:01:00.0") != std::string::npos);
    kept.assign(running, "0000:02:00.0", "qmp:" + qemu.path("qmp"));
    CHECK(device_of(kept.detach(name)) == "0000:02:00.0");
    CHECK(device_of(kept.detach(std::to_string(qemu.pid()))) == "0000:02:00.0");
}

TEST_CASE("what a guest that has ended had is taken home when no other is meant") {
    const state kept;
    kept.assign(ended_process(), "0000:01:00.0", "qmp:/nowhere");
    CHECK(device_of(kept.detach(name)) == "0000:01:00.0");
    kept.assign(ended_process(), "0000:02:00.0", "qmp:/nowhere");
    const auto report = kept.detach(name);
    REQUIRE(report.refusals().size() == 1);
    CHECK(report.refusals()[0].code == error_code::vm_ambiguous);
}

TEST_CASE("several guests of one name are told apart, and empty names mean nothing") {
    const state kept;
    const ::qemu_process one({"-name", std::string("guest=") + name});
    const ::qemu_process other({"-name", std::string("guest=") + name});
    kept.assign(*read_identity(file_tree(), one.pid()), "0000:01:00.0", "qmp:/a");
    kept.assign(*read_identity(file_tree(), other.pid()), "0000:02:00.0", "qmp:/b");
    const auto report = kept.detach(name);
    REQUIRE(report.refusals().size() == 1);
    CHECK(report.refusals()[0].code == error_code::vm_ambiguous);
    CHECK(device_of(kept.detach(std::to_string(other.pid()))) == "0000:02:00.0");
    CHECK(kept.detach("").refusals().at(0).code == error_code::invalid_argument);
}
