#include "repl/pager.hpp"

#include <boost/asio/as_tuple.hpp>
#include <boost/asio/posix/stream_descriptor.hpp>
#include <boost/asio/use_awaitable.hpp>

#include <algorithm>
#include <cerrno>
#include <cstdlib>
#include <sstream>
#include <string_view>
#include <vector>

#include <spawn.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

namespace vmplug {
namespace {

namespace asio = boost::asio;

/// The words of $PAGER; without it less, with colours let through and nothing cleared at its end.
std::vector<std::string> pager_words() {
    const char* wanted = std::getenv("PAGER");
    std::istringstream text(wanted && *wanted ? wanted : "less -RX");
    std::vector<std::string> words;
    for (std::string word; text >> word;)
        words.push_back(word);
    return words;
}

std::vector<char*> pointers_to(std::vector<std::string>& words) {
    std::vector<char*> pointers;
    for (auto& each : words)
        pointers.push_back(each.data());
    pointers.push_back(nullptr);
    return pointers;
}

/// Our environment, in which less runs no commands.
std::vector<std::string> pager_environment() {
    std::vector<std::string> all{"LESSSECURE=1"};
    for (char** each = environ; *each; ++each)
        if (!std::string_view(*each).starts_with("LESSSECURE=")) all.emplace_back(*each);
    return all;
}

/// The text as a file without a name, so that the pager reads it at its own pace.
int make_file(const std::string& text) {
    const int file = ::memfd_create("vmplug-reply", MFD_CLOEXEC);
    std::size_t written = 0;
    while (file >= 0 && written < text.size()) {
        const auto size = ::write(file, text.data() + written, text.size() - written);
        if (size < 0 && errno == EINTR) continue;
        if (size <= 0) break;
        written += static_cast<std::size_t>(size);
    }
    if (file >= 0) ::lseek(file, 0, SEEK_SET);
    return file;
}

int start_pager(int text_file) {
    auto words = pager_words();
    auto environment = pager_environment();
    if (words.empty()) return -1;
    posix_spawn_file_actions_t actions;
    ::posix_spawn_file_actions_init(&actions);
    ::posix_spawn_file_actions_adddup2(&actions, text_file, STDIN_FILENO);
    int pid = -1;
    const int failed = ::posix_spawnp(&pid, words[0].c_str(), &actions, nullptr,
                                      pointers_to(words).data(), pointers_to(environment).data());
    ::posix_spawn_file_actions_destroy(&actions);
    return failed == 0 ? pid : -1;
}

} // namespace

bool is_longer_than_screen(const std::string& text) {
    winsize size{};
    if (::ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) != 0 || size.ws_row == 0) return false;
    // Two lines are for the time that it took and the next prompt.
    return std::ranges::count(text, '\n') + 2 > size.ws_row;
}

asio::awaitable<bool> page(asio::any_io_executor executor, std::string text) {
    const int file = make_file(text);
    const int pid = file < 0 ? -1 : start_pager(file);
    if (file >= 0) ::close(file);
    if (pid < 0) co_return false;
    asio::posix::stream_descriptor ended(executor,
                                         static_cast<int>(::syscall(SYS_pidfd_open, pid, 0)));
    co_await ended.async_wait(asio::posix::stream_descriptor::wait_read,
                              asio::as_tuple(asio::use_awaitable));
    int status = 0;
    while (::waitpid(pid, &status, 0) < 0 && errno == EINTR) {
    }
    constexpr int not_found = 127; // where spawn finds out in the child
    co_return !WIFEXITED(status) || WEXITSTATUS(status) != not_found;
}

} // namespace vmplug
