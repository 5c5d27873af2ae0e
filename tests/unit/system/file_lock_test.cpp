#include "system/file_lock.hpp"

#include <doctest/doctest.h>

#include <array>
#include <chrono>
#include <filesystem>

#include <fcntl.h>
#include <sys/file.h>
#include <sys/wait.h>
#include <unistd.h>

using namespace vmplug;

namespace {

struct lock_directory {
    lock_directory() {
        std::string pattern = "/tmp/vmplug-lock-XXXXXX";
        REQUIRE(::mkdtemp(pattern.data()) != nullptr);
        path = pattern;
    }
    ~lock_directory() { std::filesystem::remove_all(path); }

    /// Empty: it was ours.
    std::string try_lock(const std::string& as) const {
        std::string other;
        const auto lock = file_lock::try_lock(path, "device-0000:01:00.0", as, other);
        REQUIRE(lock.has_value());
        return *lock ? std::string() : other;
    }

    std::string path;
};

} // namespace

TEST_CASE("whoever is refused is told who has the lock") {
    const lock_directory at;
    const auto ours = "process " + std::to_string(::getpid());
    std::string other;
    {
        const auto lock =
            file_lock::try_lock(at.path, "device-0000:01:00.0", ours + " (attach)", other);
        REQUIRE(lock.has_value());
        REQUIRE(lock->has_value());
        CHECK(at.try_lock("process 1 (attach)") == ours + " (attach)");
        CHECK(file_lock::find_holder(at.path, "device-0000:01:00.0") == ours + " (attach)");
    }
    CHECK(file_lock::find_holder(at.path, "device-0000:01:00.0").empty());
    CHECK(at.try_lock("process 1 (attach)").empty());
}

TEST_CASE("one that has the lock and has written nothing yet is named too") {
    const lock_directory at;
    // What the one before wrote is still there.
    CHECK(at.try_lock("process 1 (attach)").empty());
    std::array<int, 2> locked{};
    std::array<int, 2> gate{};
    REQUIRE(::pipe(locked.data()) == 0);
    REQUIRE(::pipe(gate.data()) == 0);
    const auto other = ::fork();
    if (other == 0) {
        char nothing = 0;
        ::close(gate[1]);
        const int file = ::open((at.path + "/device-0000:01:00.0").c_str(), O_RDWR | O_CLOEXEC);
        (void)::flock(file, LOCK_EX | LOCK_NB);
        (void)!::write(locked[1], "1", 1);
        (void)!::read(gate[0], &nothing, 1); // until the test lets it go
        ::_exit(0);
    }
    char nothing = 0;
    REQUIRE(::read(locked[0], &nothing, 1) == 1);
    const auto expected = "process " + std::to_string(other);
    CHECK(at.try_lock("process 2 (attach)") == expected);
    CHECK(file_lock::find_holder(at.path, "device-0000:01:00.0") == expected);
    for (const int each : {locked[0], locked[1], gate[0], gate[1]})
        ::close(each);
    int status = 0;
    CHECK(::waitpid(other, &status, 0) == other);
}

TEST_CASE("a child that a process leaves behind keeps its lock") {
    const lock_directory at;
    std::array<int, 2> gate{};
    REQUIRE(::pipe(gate.data()) == 0);
    const auto parent = ::fork();
    if (parent == 0) {
        std::string other;
        const auto lock = file_lock::try_lock(
            at.path, "name", "process " + std::to_string(::getpid()) + " (attach)", other);
        if (::fork() == 0) {
            char nothing = 0;
            ::close(gate[1]);
            (void)!::read(gate[0], &nothing, 1); // until the test lets it go
            ::_exit(0);
        }
        ::_exit(lock.has_value() && *lock ? 0 : 1);
    }
    int status = -1;
    REQUIRE(::waitpid(parent, &status, 0) == parent);
    CHECK(status == 0);
    std::string other;
    bool ended = false;
    REQUIRE_FALSE(file_lock::try_lock(at.path, "name", "me", other, &ended).value().has_value());
    CHECK(ended);
    CHECK(other.find("process " + std::to_string(parent) + " (attach), which has ended") == 0);
    ::close(gate[1]);
    const auto end = std::chrono::steady_clock::now() + std::chrono::seconds(10);
    auto lock = file_lock::try_lock(at.path, "name", "me", other, &ended);
    while (!lock.value().has_value() && std::chrono::steady_clock::now() < end)
        lock = file_lock::try_lock(at.path, "name", "me", other, &ended);
    CHECK(lock.value().has_value());
    ::close(gate[0]);
}

TEST_CASE("a lock follows no link, and a look neither makes a file nor takes a lock") {
    const lock_directory at;
    std::string other;
    std::filesystem::create_symlink(at.path + "/target", at.path + "/linked");
    CHECK(file_lock::try_lock(at.path, "linked", "me", other).has_error());
    CHECK(!std::filesystem::exists(at.path + "/target"));
    CHECK(file_lock::find_holder(at.path, "other").empty());
    CHECK(!std::filesystem::exists(at.path + "/other"));
    const auto held = file_lock::try_lock(at.path, "name", "me", other);
    REQUIRE(held.value().has_value());
    CHECK(!file_lock::find_holder(at.path, "name").empty());
    CHECK(!file_lock::try_lock(at.path, "name", "me", other).value().has_value());
}

TEST_CASE("what a child of ours is still at is told from what we are at ourselves") {
    const lock_directory at;
    std::array<int, 2> gate{};
    REQUIRE(::pipe(gate.data()) == 0);
    std::string other;
    bool ended = false;
    pid_t child = -1;
    {
        const auto lock = file_lock::try_lock(at.path, "name", "process 1 (attach)", other);
        REQUIRE(lock.value().has_value());
        REQUIRE_FALSE(
            file_lock::try_lock(at.path, "name", "me", other, &ended).value().has_value());
        CHECK_FALSE(ended);
        child = ::fork();
        if (child == 0) {
            char nothing = 0;
            ::close(gate[1]);
            (void)!::read(gate[0], &nothing, 1);
            ::_exit(0);
        }
    }
    REQUIRE_FALSE(file_lock::try_lock(at.path, "name", "me", other, &ended).value().has_value());
    CHECK(ended);
    ::close(gate[1]);
    ::close(gate[0]);
    int status = 0;
    CHECK(::waitpid(child, &status, 0) == child);
    CHECK(file_lock::try_lock(at.path, "name", "me", other, &ended).value().has_value());
}
