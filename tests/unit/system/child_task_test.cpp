#include "system/child_task.hpp"

#include <doctest/doctest.h>

#include <array>
#include <chrono>
#include <filesystem>

#include <fcntl.h>
#include <poll.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

using namespace vmplug;

namespace {

/// A place to write to in which a write hangs until somebody reads: a FIFO.
struct hanging_file {
    hanging_file() {
        std::string pattern = "/tmp/vmplug-child-XXXXXX";
        REQUIRE(::mkdtemp(pattern.data()) != nullptr);
        directory = pattern;
        path = directory + "/fifo";
        REQUIRE(::mkfifo(path.c_str(), 0600) == 0);
    }
    ~hanging_file() { std::filesystem::remove_all(directory); }

    /// Lets the child go on, and sees its end.
    void release(const child_task& task) const {
        const int reader = ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
        int status = 0;
        CHECK(::waitpid(task.pid, &status, 0) == task.pid);
        ::close(reader);
        ::close(task.report);
    }

    std::string directory;
    std::string path;
};

/// The other end of this is held by nobody any more.
bool ends(int reader) {
    pollfd watched{reader, POLLIN, 0};
    return ::poll(&watched, 1, 10'000) == 1 && (watched.revents & POLLHUP) != 0;
}

bool becomes(const std::function<bool()>& condition) {
    const auto end = std::chrono::steady_clock::now() + std::chrono::seconds(10);
    while (!condition())
        if (std::chrono::steady_clock::now() > end) return false;
    return true;
}

std::string target_of(int pid, int descriptor) {
    std::error_code ignored;
    return std::filesystem::read_symlink(
        "/proc/" + std::to_string(pid) + "/fd/" + std::to_string(descriptor), ignored);
}

} // namespace

TEST_CASE("a child that hangs has nothing of ours open: whoever reads our output sees its end") {
    const hanging_file at;
    // As a program has them that knows nothing of close-on-exec: at any number.
    std::array<int, 2> output{};
    REQUIRE(::pipe(output.data()) == 0);
    const int far = ::fcntl(output[1], F_DUPFD, 500);
    REQUIRE(far >= 500);
    const auto task = start_write(at.path, "x", {});
    REQUIRE(task.has_value());
    ::close(output[1]);
    ::close(far);
    CHECK(ends(output[0]));
    CHECK(::waitpid(task->pid, nullptr, WNOHANG) == 0);
    for (const int stream : {STDIN_FILENO, STDOUT_FILENO, STDERR_FILENO})
        CHECK(becomes([&] { return target_of(task->pid, stream) == "/dev/null"; }));
    // A Ctrl-C at our terminal goes to our group alone.
    CHECK(becomes([&] { return ::getpgid(task->pid) == task->pid; }));
    ::close(output[0]);
    at.release(*task);
}

TEST_CASE("a child that hangs keeps its leases, wherever they are, until it is through") {
    const hanging_file at;
    const auto lock_path = at.directory + "/lock";
    const int low = ::open(lock_path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    const int lease = ::fcntl(low, F_DUPFD_CLOEXEC, 300);
    ::close(low);
    REQUIRE(::flock(lease, LOCK_EX | LOCK_NB) == 0);
    const int other = ::open(lock_path.c_str(), O_RDWR | O_CLOEXEC);
    const auto task = start_write(at.path, "x", {lease});
    REQUIRE(task.has_value());
    ::close(lease);
    CHECK(becomes([&] { return target_of(task->pid, STDOUT_FILENO) == "/dev/null"; }));
    CHECK(::flock(other, LOCK_EX | LOCK_NB) != 0);
    at.release(*task);
    CHECK(::flock(other, LOCK_EX | LOCK_NB) == 0);
    ::close(other);
}

TEST_CASE("what is given back beside a child that has just begun is nobody's at once") {
    const hanging_file stuck;
    const auto path = stuck.directory + "/lease";
    int taken = 0;
    constexpr int times = 50;
    for (int i = 0; i < times; ++i) {
        const int ours = ::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600);
        REQUIRE(::flock(ours, LOCK_EX | LOCK_NB) == 0);
        const auto task = start_write(stuck.path, "1", {});
        REQUIRE(task.has_value());
        ::close(ours);
        const int next = ::open(path.c_str(), O_RDWR | O_CLOEXEC);
        if (::flock(next, LOCK_EX | LOCK_NB) == 0) ++taken;
        ::close(next);
        stuck.release(*task);
    }
    CHECK(taken == times);
}

TEST_CASE("a child that was given up is reaped when it has ended") {
    const hanging_file at;
    const auto task = start_write(at.path, "x", {});
    REQUIRE(task.has_value());
    ::close(task->report);
    give_up(*task);
    const auto state = [&] {
        return std::filesystem::exists("/proc/" + std::to_string(task->pid));
    };
    CHECK(state());
    const int reader = ::open(at.path.c_str(), O_RDONLY | O_CLOEXEC);
    ::close(reader);
    // At the next start, whatever that is.
    CHECK(becomes([&] {
        const auto next = start_read("/dev/null");
        REQUIRE(next.has_value());
        ::close(next->report);
        CHECK(::waitpid(next->pid, nullptr, 0) == next->pid);
        return !state();
    }));
}

TEST_CASE("what was written, and why it was not, is reported") {
    const hanging_file at;
    const auto report_of = [](const result<child_task>& task) {
        REQUIRE(task.has_value());
        std::string text;
        char piece[64];
        for (ssize_t size = 0; (size = ::read(task->report, piece, sizeof piece)) > 0;)
            text.append(piece, static_cast<std::size_t>(size));
        int status = 0;
        CHECK(::waitpid(task->pid, &status, 0) == task->pid);
        ::close(task->report);
        return text;
    };
    const auto file = at.directory + "/file";
    CHECK(report_of(start_write(file, "x", {})) == std::to_string(ENOENT) + "\n");
    const int made = ::open(file.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    ::close(made);
    CHECK(report_of(start_write(file, "7\n", {})) == "0\n");
    CHECK(report_of(start_read(file)) == "0\n7\n");
    CHECK(report_of(start_read(at.directory)) == std::to_string(EISDIR) + "\n");
    CHECK(report_of(start_program({"/bin/echo", "--", "a b"})) == "-- a b\n");
    CHECK(report_of(start_program({"/nowhere/program"})) == std::to_string(ENOENT) + "\n");
}
