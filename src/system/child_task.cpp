#include "system/child_task.hpp"

#include "port/call_limit.hpp"
#include "system/fork_guard.hpp"

#include <algorithm>
#include <array>
#include <cerrno>
#include <chrono>
#include <csignal>
#include <cstdio>
#include <cstring>
#include <functional>
#include <mutex>

#include <fcntl.h>
#include <linux/netlink.h>
#include <poll.h>
#include <sched.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
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

int open_rtnetlink() {
    return ::socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_ROUTE);
}

/// Room for what the kernel answers in one piece.
alignas(nlmsghdr) char answer[65536];

/// Whether the piece of an answer is its last.
bool ends_answer(ssize_t size) {
    const auto* header = static_cast<const nlmsghdr*>(static_cast<const void*>(answer));
    for (auto left = static_cast<std::uint32_t>(size); NLMSG_OK(header, left);
         header = NLMSG_NEXT(header, left))
        if (header->nlmsg_type == NLMSG_DONE || header->nlmsg_type == NLMSG_ERROR) return true;
    return false;
}

/// Returns 0, or why there was no answer.
int pass_answer_on(int report, std::uint32_t which, int socket, const std::string& request) {
    if (::send(socket, request.data(), request.size(), 0) < 0) return errno;
    for (;;) {
        const auto size = ::recv(socket, answer, sizeof answer, 0);
        if (size < 0) return errno;
        const netlink_piece head{which, 0, static_cast<std::uint32_t>(size)};
        if (::write(report, &head, sizeof head) < 0) return errno;
        if (::write(report, answer, static_cast<std::size_t>(size)) < 0) return errno;
        if (ends_answer(size)) return 0;
    }
}

/// Returns 0, or why the namespace could not be asked.
int ask_namespace(int report, std::uint32_t which, const std::string& file,
                  const std::vector<std::string>& requests) {
    if (!file.empty()) {
        const int entered = ::open(file.c_str(), O_RDONLY | O_CLOEXEC);
        if (entered < 0 || ::setns(entered, CLONE_NEWNET) != 0) return errno;
        ::close(entered);
    }
    const int socket = open_rtnetlink();
    if (socket < 0) return errno;
    for (const auto& request : requests)
        if (const int reason = pass_answer_on(report, which, socket, request)) return reason;
    ::close(socket);
    return 0;
}

[[noreturn]] void ask_and_exit(int report, const std::vector<std::string>& namespaces,
                               const std::vector<std::string>& requests) {
    report_errno(report, 0);
    for (std::uint32_t i = 0; i < namespaces.size(); ++i) {
        const int reason = ask_namespace(report, i, namespaces[i], requests);
        const netlink_piece failure{i, reason, 0};
        if (reason != 0 && ::write(report, &failure, sizeof failure) < 0) ::_exit(1);
    }
    ::_exit(0);
}

/// Returns a descriptor of the namespace, -1 with errno when it is not the one that is meant.
int open_namespace(const netlink_act& act) {
    const int file = ::open(act.namespace_file.c_str(), O_RDONLY | O_CLOEXEC);
    struct stat found {};
    if (file < 0 || ::fstat(file, &found) != 0) return -1;
    if (found.st_ino == act.namespace_inode) return file;
    errno = ESTALE;
    return -1;
}

[[noreturn]] void send_and_exit(int report, netlink_act& act) {
    const auto fail = [&] {
        report_errno(report, errno);
        ::_exit(0);
    };
    if (act.descriptor_at != 0) {
        const int file = open_namespace(act);
        if (file < 0) fail();
        std::memcpy(act.message.data() + act.descriptor_at, &file, sizeof file);
    }
    const int socket = open_rtnetlink();
    if (socket < 0 || ::send(socket, act.message.data(), act.message.size(), 0) < 0) fail();
    if (::recv(socket, answer, sizeof answer, 0) < static_cast<ssize_t>(NLMSG_LENGTH(sizeof(int))))
        fail();
    const auto* told =
        static_cast<const nlmsgerr*>(static_cast<const void*>(answer + NLMSG_HDRLEN));
    report_errno(report, -told->error);
    ::_exit(0);
}

/// As close_range of Linux 5.9, for those before: as far as any process of ours comes.
void close_all(unsigned from, unsigned to) {
    if (from > to || ::close_range(from, to, 0) == 0) return;
    constexpr unsigned most = 65'536;
    for (unsigned each = from; each <= to && each < most; ++each)
        ::close(static_cast<int>(each));
}

/// A child that hangs outlives us. So it keeps nothing of ours but `leases`, in ascending order:
/// whoever waits for the end of our output must not wait for it. Returns the descriptor of
/// `report`.
int let_go_of_everything_but(int report, const std::vector<int>& leases) {
    const int nothing = ::open("/dev/null", O_RDWR);
    for (const int stream : {STDIN_FILENO, STDOUT_FILENO, STDERR_FILENO})
        ::dup2(nothing, stream);
    // The report goes where no lease is.
    int kept = STDERR_FILENO + 1;
    for (const int lease : leases)
        if (lease == kept) ++kept;
    ::dup2(report, kept);
    auto from = static_cast<unsigned>(STDERR_FILENO + 1);
    const auto keep = [&](int each) {
        if (each < static_cast<int>(from)) return;
        if (each > static_cast<int>(from)) close_all(from, static_cast<unsigned>(each) - 1);
        from = static_cast<unsigned>(each) + 1;
    };
    bool reported = false;
    for (const int lease : leases) {
        if (!reported && lease > kept) {
            keep(kept);
            reported = true;
        }
        keep(lease);
    }
    if (!reported) keep(kept);
    close_all(from, ~0U);
    return kept;
}

/// Those that hang, or did when they were given up.
class given_up_children {
public:
    void add(int pid) {
        const std::lock_guard only_one(guard_);
        pids_.push_back(pid);
    }

    void reap() {
        const std::lock_guard only_one(guard_);
        std::erase_if(pids_, [](int pid) { return ::waitpid(pid, nullptr, WNOHANG) != 0; });
    }

private:
    std::mutex guard_;
    std::vector<int> pids_;
};

given_up_children& given_up() {
    static given_up_children all;
    return all;
}

/// Mostly a fraction of a millisecond. A child that is stopped, or hangs while it closes a file of
/// ours on a server that does not answer, is not waited for.
constexpr std::chrono::milliseconds patience{500};

/// Returns when nobody has the other end of that pipe, or that takes too long.
void await_end(int pipe_end) {
    const auto end = std::chrono::steady_clock::now() + patience;
    pollfd watched{pipe_end, 0, 0};
    for (auto left = patience; left.count() > 0;
         left = time_left(end, std::chrono::steady_clock::now()))
        if (::poll(&watched, 1, static_cast<int>(left.count())) >= 0 || errno != EINTR) break;
    ::close(pipe_end);
}

/// Our own Ctrl-C must not reach a write that is half done: the child leaves our process group.
///
/// When this returns, the child has nothing of ours but `leases`, unless it hangs: what another
/// operation gives back a moment later is nobody's then.
result<child_task> start(const std::function<void(int report)>& work,
                         std::vector<int> leases = {}) {
    given_up().reap();
    std::ranges::sort(leases);
    std::array<int, 2> ends{};
    std::array<int, 2> having{-1, -1};
    if (::pipe2(ends.data(), O_CLOEXEC) != 0)
        return error{error_code::host_io, "pipe", std::strerror(errno), {}};
    if (::pipe2(having.data(), O_CLOEXEC) != 0) {
        const int reason = errno;
        for (const int each : ends)
            ::close(each);
        return error{error_code::host_io, "pipe", std::strerror(reason), {}};
    }
    const std::lock_guard one_at_a_time(fork_guard());
    const int pid = ::fork();
    if (pid == 0) {
        ::setpgid(0, 0);
        work(let_go_of_everything_but(ends[1], leases));
        ::_exit(1);
    }
    const int reason = errno;
    ::close(ends[1]);
    ::close(having[1]);
    await_end(having[0]);
    if (pid > 0) return child_task{pid, ends[0]};
    ::close(ends[0]);
    return error{error_code::host_io, "fork", std::strerror(reason), {}};
}

} // namespace

std::mutex& fork_guard() {
    static std::mutex guard;
    return guard;
}

void give_up(const child_task& child) {
    given_up().add(child.pid);
}

result<child_task> start_work(const std::function<void(int report)>& work) {
    return start(work);
}

result<child_task> start_write(const std::string& path, const std::string& value,
                               const std::vector<int>& leases) {
    return start(
        [&](int report) { write_and_exit(report, path.c_str(), value.data(), value.size()); },
        leases);
}

result<child_task> start_read(const std::string& path) {
    return start([&](int report) { read_and_exit(report, path.c_str()); });
}

result<child_task> start_netlink_act(netlink_act act, const std::vector<int>& leases) {
    return start([&](int report) { send_and_exit(report, act); }, leases);
}

result<child_task> start_netlink_questions(const std::vector<std::string>& namespaces,
                                           const std::vector<std::string>& requests) {
    return start([&](int report) { ask_and_exit(report, namespaces, requests); });
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
