#include "port/child_task.hpp"

#include <array>
#include <cerrno>
#include <csignal>
#include <cstdio>
#include <cstring>
#include <functional>

#include <fcntl.h>
#include <net/if.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

namespace vmplug {
namespace {

/// In the child. Only async-signal-safe calls from here on.
void report_errno(int report, int reason) {
    char text[16];
    int size = 0;
    if (reason == 0) text[size++] = '0';
    for (int rest = reason; rest > 0 && size < 8; rest /= 10)
        text[size++] = static_cast<char>('0' + rest % 10);
    for (int i = 0; i < size / 2; ++i)
        std::swap(text[i], text[size - 1 - i]);
    text[size++] = '\n';
    if (::write(report, text, static_cast<std::size_t>(size)) < 0) ::_exit(1);
}

[[noreturn]] void write_and_exit(int report, const char* path, const char* value,
                                 std::size_t size) {
    const int file = ::open(path, O_WRONLY | O_CLOEXEC);
    const bool done = file >= 0 && ::write(file, value, size) == static_cast<ssize_t>(size);
    report_errno(report, done ? 0 : errno);
    ::_exit(0);
}

[[noreturn]] void read_and_exit(int report, const char* path) {
    static char buffer[65536];
    const int file = ::open(path, O_RDONLY | O_CLOEXEC);
    const auto size = file < 0 ? -1 : ::read(file, buffer, sizeof buffer);
    report_errno(report, size < 0 ? errno : 0);
    if (size > 0 && ::write(report, buffer, static_cast<std::size_t>(size)) < 0) ::_exit(1);
    ::_exit(0);
}

[[noreturn]] void rename_and_exit(int report, ifreq& request) {
    const int socket = ::socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    const bool done = socket >= 0 && ::ioctl(socket, SIOCSIFNAME, &request) == 0;
    report_errno(report, done ? 0 : errno);
    ::_exit(0);
}

/// A child that hangs outlives us. So it keeps nothing of ours: whoever waits for the end of our
/// output must not wait for it, nor must our leases last as long as it does.
/// Returns the descriptor of `report`, the only one left.
int let_go_of_everything_but(int report) {
    const int nothing = ::open("/dev/null", O_RDWR);
    for (const int stream : {STDIN_FILENO, STDOUT_FILENO, STDERR_FILENO})
        ::dup2(nothing, stream);
    constexpr int kept = STDERR_FILENO + 1;
    ::dup2(report, kept);
    ::close_range(kept + 1, ~0U, 0);
    return kept;
}

/// Our own Ctrl-C must not reach a write that is half done: the child leaves our process group.
result<child_task> start(const std::function<void(int report)>& work) {
    std::array<int, 2> ends{};
    if (::pipe2(ends.data(), O_CLOEXEC) != 0)
        return error{error_code::host_io, "pipe", std::strerror(errno), {}};
    const int pid = ::fork();
    if (pid == 0) {
        ::setpgid(0, 0);
        work(let_go_of_everything_but(ends[1]));
        ::_exit(1);
    }
    const int reason = errno;
    ::close(ends[1]);
    if (pid > 0) return child_task{pid, ends[0]};
    ::close(ends[0]);
    return error{error_code::host_io, "fork", std::strerror(reason), {}};
}

} // namespace

result<child_task> start_write(const std::string& path, const std::string& value) {
    return start(
        [&](int report) { write_and_exit(report, path.c_str(), value.data(), value.size()); });
}

result<child_task> start_read(const std::string& path) {
    return start([&](int report) { read_and_exit(report, path.c_str()); });
}

result<child_task> start_rename(const std::string& name, const std::string& new_name) {
    ifreq request{};
    if (name.size() >= sizeof request.ifr_name || new_name.size() >= sizeof request.ifr_newname)
        return error{error_code::invalid_argument, new_name, "no name of an interface", {}};
    name.copy(request.ifr_name, name.size());
    new_name.copy(request.ifr_newname, new_name.size());
    // An ioctl, since rtnetlink through a library is more than a forked child may do.
    return start([&](int report) { rename_and_exit(report, request); });
}

result<child_task> start_program(const std::vector<std::string>& arguments) {
    std::vector<char*> argv;
    argv.reserve(arguments.size() + 1);
    for (const auto& each : arguments)
        argv.push_back(const_cast<char*>(each.c_str())); // execv does not write to them
    argv.push_back(nullptr);
    return start([&](int report) {
        ::dup2(report, STDOUT_FILENO);
        ::dup2(report, STDERR_FILENO);
        ::execv(argv[0], argv.data());
        report_errno(report, errno);
    });
}

} // namespace vmplug
