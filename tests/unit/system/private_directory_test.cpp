#include "system/private_directory.hpp"

#include <doctest/doctest.h>

#include <filesystem>
#include <fstream>

#include <sys/stat.h>
#include <unistd.h>

using namespace vmplug;

namespace {

struct temporary_directory {
    temporary_directory() {
        std::string pattern = "/tmp/vmplug-port-XXXXXX";
        REQUIRE(::mkdtemp(pattern.data()) != nullptr);
        path = pattern;
    }
    ~temporary_directory() { std::filesystem::remove_all(path); }
    std::string path;
};

/// As if somebody else had made it; only root can bring that about.
bool give_away(const std::string& path) {
    return ::lchown(path.c_str(), 1000, 1000) == 0;
}

error_code code_of(const std::string& path) {
    const auto made = private_directory::create(path);
    return made.has_error() ? made.error().code : error_code::internal;
}

} // namespace

TEST_CASE("a directory that is missing is made for us alone") {
    const temporary_directory at;
    const auto made = private_directory::create(at.path + "/a/b");
    REQUIRE(made.has_value());
    struct stat found {};
    REQUIRE(::fstat(made->descriptor(), &found) == 0);
    CHECK((found.st_mode & 07777) == 0700);
    CHECK(made->path() == at.path + "/a/b");
    CHECK(private_directory::exists(at.path + "/a"));
    CHECK(!private_directory::exists(at.path + "/c"));
    CHECK(private_directory::open(at.path + "/c").has_error());
}

TEST_CASE("what others can write to is not believed") {
    const temporary_directory at;
    const auto state = at.path + "/state";
    for (const mode_t mode : {0770, 0707, 01777}) {
        std::filesystem::create_directories(state);
        REQUIRE(::chmod(state.c_str(), mode) == 0);
        CHECK(code_of(state) == error_code::journal_unavailable);
    }
    REQUIRE(::chmod(state.c_str(), 0755) == 0);
    CHECK(private_directory::create(state).has_value());
    std::ofstream(at.path + "/file") << "";
    CHECK(code_of(at.path + "/file") == error_code::journal_unavailable);
}

TEST_CASE("what belongs to somebody else is not believed") {
    const temporary_directory at;
    const auto state = at.path + "/state";
    std::filesystem::create_directories(state);
    if (!give_away(state)) return;
    CHECK(code_of(state) == error_code::journal_unavailable);
    REQUIRE(::chown(state.c_str(), 0, 0) == 0);
    // A link of somebody else's leads wherever they like; one of ours is an administrator's.
    std::filesystem::create_symlink(state, at.path + "/link");
    CHECK(private_directory::create(at.path + "/link").value().path() == state);
    REQUIRE(give_away(at.path + "/link"));
    CHECK(code_of(at.path + "/link") == error_code::journal_unavailable);
    CHECK(code_of(at.path + "/link/below") == error_code::journal_unavailable);
}

TEST_CASE("files in it are plain and ours") {
    const temporary_directory at;
    const auto directory = private_directory::create(at.path).value();
    CHECK(directory.check_file("none").has_value());
    std::ofstream(at.path + "/plain") << "x";
    CHECK(directory.check_file("plain").has_value());
    REQUIRE(::chmod((at.path + "/plain").c_str(), 0666) == 0);
    CHECK(directory.check_file("plain").has_error());
    std::filesystem::create_symlink("/etc/passwd", at.path + "/link");
    CHECK(directory.check_file("link").has_error());
    REQUIRE(::mkfifo((at.path + "/fifo").c_str(), 0600) == 0);
    CHECK(directory.check_file("fifo").has_error());
}
