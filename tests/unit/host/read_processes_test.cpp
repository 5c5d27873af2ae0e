#include "host/read_processes.hpp"
#include "system/tcp_sockets.hpp"

#include <doctest/doctest.h>

#include <filesystem>
#include <fstream>

#include <poll.h>
#include <sys/stat.h>
#include <unistd.h>

using namespace vmplug;

namespace {

namespace fs = std::filesystem;

/// Processes of an invented host.
class fake_processes {
public:
    fake_processes() {
        std::string name = fs::temp_directory_path() / "vmplug-processes-XXXXXX";
        root_ = ::mkdtemp(name.data());
        write("/proc/sys/kernel/random/boot_id", "b\n");
    }
    ~fake_processes() { fs::remove_all(root_); }

    void write(const std::string& path, const std::string& text) const {
        fs::create_directories(fs::path(root_ + path).parent_path());
        std::ofstream(root_ + path) << text;
    }
    void link(const std::string& path, const std::string& target) const {
        fs::create_directories(fs::path(root_ + path).parent_path());
        fs::create_symlink(target, root_ + path);
    }
    void socket(const std::string& path) const {
        fs::create_directories(fs::path(root_ + path).parent_path());
        REQUIRE(::mknod((root_ + path).c_str(), S_IFSOCK | 0600, 0) == 0);
    }
    file_tree files() const { return file_tree(root_); }

    void add(int pid, const std::string& program, std::vector<std::string> arguments,
             int parent = 1, const std::string& name = "qemu") const {
        const auto directory = "/proc/" + std::to_string(pid);
        std::string text;
        for (const auto& each : arguments)
            text += each + '\0';
        write(directory + "/cmdline", text);
        write(directory + "/comm", name + "\n");
        write(directory + "/stat", std::to_string(pid) + " (" + name + ") S " +
                                       std::to_string(parent) +
                                       " 1 1 0 -1 0 0 0 0 0 0 0 0 0 20 0 3 0 7700 1 1\n");
        write(directory + "/status", "Name:\tx\nVmSize:\t  204800 kB\nUid:\t1000\t1000\t1000\n"
                                     "CapEff:\t0000000000000000\n");
        link(directory + "/exe", program);
        link(directory + "/cwd", "/home/me");
        link(directory + "/root", "/");
        fs::create_directories(root_ + directory + "/fd");
    }
    void listen(int pid, int descriptor, int inode, const std::string& path) const {
        const auto directory = "/proc/" + std::to_string(pid);
        link(directory + "/fd/" + std::to_string(descriptor),
             "socket:[" + std::to_string(inode) + "]");
        fs::create_directories(root_ + directory + "/net");
        std::ofstream(root_ + directory + "/net/unix", std::ios::app)
            << "0000000000000000: 00000002 00000000 00010000 0001 01 " << inode << " " << path
            << "\n";
    }

private:
    std::string root_;
};

std::vector<std::string> addresses(const qemu_process& process) {
    std::vector<std::string> found;
    for (const auto& each : process.monitors)
        found.push_back(each.address + (each.unusable.empty() ? "" : " unusable"));
    return found;
}

constexpr const char* emulator = "/usr/bin/qemu-system-x86_64";
using strings = std::vector<std::string>;

} // namespace

TEST_CASE("what is a QEMU system emulator, by its executable") {
    for (const char* each :
         {"/usr/bin/qemu-system-x86_64", "/usr/libexec/qemu-kvm", "/usr/bin/kvm",
          "/nix/store/x/bin/.qemu-system-aarch64-wrapped", "/usr/bin/qemu-system-x86_64 (deleted)"})
        CHECK(is_emulator(each));
    for (const char* each : {"/usr/bin/qemu-ga", "/usr/bin/qemu-storage-daemon",
                             "/usr/bin/qemu-aarch64-static", "/usr/bin/qemu-img", "/bin/bash", ""})
        CHECK(!is_emulator(each));
}

TEST_CASE("a monitor is what the command line claims and the process listens at") {
    const fake_processes host;
    host.add(10, emulator,
             {emulator, "-name", "web", "-qmp", "unix:/run/web.qmp,server=on,wait=off", "-qmp",
              "unix:/run/other.qmp,server=on,wait=off", "-monitor",
              "unix:here.hmp,server=on,wait=off"});
    host.socket("/run/web.qmp");
    host.socket("/home/me/here.hmp");
    host.listen(10, 3, 501, "/run/web.qmp");
    host.listen(10, 4, 502, "here.hmp");
    auto found = read_processes(host.files(), {}).qemus;
    REQUIRE(found.size() == 1);
    CHECK(addresses(found[0]) == strings{"qmp:/run/web.qmp", "hmp:/home/me/here.hmp"});
    CHECK(found[0].identity.start_time == 7700);
    CHECK(found[0].size_bytes == std::uint64_t{204800} << 10);
}

TEST_CASE("a guest is found whatever its process is called, and no other one is") {
    const fake_processes host;
    const strings words{"web", "-name", "web", "-qmp", "unix:/run/web.qmp,server=on,wait=off"};
    host.socket("/run/web.qmp");
    // Run through the dynamic linker, with a name that breaks lines and closes brackets.
    host.add(10, "/lib64/ld-linux-x86-64.so.2", words, 1, "a) Z 1\nb (c");
    host.listen(10, 3, 501, "/run/web.qmp");
    // Says the same and listens nowhere; a script; a guest agent; a storage daemon; a kernel
    // thread.
    host.add(11, "/usr/bin/python3", words);
    host.add(12, "/bin/bash", {"/bin/bash", "/usr/bin/qemu-start"}, 1, "qemu-start");
    host.add(13, "/usr/bin/qemu-ga", {"qemu-ga", "-m", "unix-listen"}, 1, "qemu-ga");
    host.add(14, "/usr/bin/qemu-storage-daemon",
             {"qemu-storage-daemon", "--chardev", "socket,id=m,path=/run/d,server=on,wait=off",
              "--monitor", "chardev=m"});
    host.listen(14, 3, 502, "/run/d");
    host.write("/proc/2/comm", "kvm\n");
    const auto found = read_processes(host.files(), {}).qemus;
    REQUIRE(found.size() == 1);
    CHECK(found[0].identity.pid == 10);
    CHECK(found[0].identity.start_time == 7700);
    process_reading named;
    named.guest = "web";
    CHECK(read_processes(host.files(), named).qemus.size() == 1);
    named.emulators_first = true;
    CHECK(read_processes(host.files(), named).qemus.size() == 1);
    // A pid that a person names is taken as it is.
    named.guest = "12";
    const auto script = read_processes(host.files(), named).qemus;
    REQUIRE(script.size() == 1);
    CHECK(script[0].identity.pid == 12);
}

TEST_CASE("a configuration file is read where the process sees it, and nothing but a file") {
    const fake_processes host;
    host.add(10, emulator, {emulator, "-readconfig", "web.cfg"});
    host.add(11, emulator, {emulator, "-readconfig", "/dev/acts-when-opened"});
    fs::remove(host.files().root() + "/proc/10/cwd");
    host.write("/proc/10/cwd/web.cfg", "[name]\n  guest = \"web\"\n");
    fs::remove(host.files().root() + "/proc/11/root");
    host.link("/proc/11/root/dev/acts-when-opened", "/dev/zero");
    const auto found = read_processes(host.files(), {}).qemus;
    REQUIRE(found.size() == 2);
    CHECK(found[0].name == "web");
    CHECK(found[1].name.empty());
    CHECK(host.files().read_regular("/proc/11/root/dev/acts-when-opened").has_error());
}

TEST_CASE("who shares a guest's listening socket is no second guest") {
    const fake_processes host;
    const strings words{emulator, "-name", "web", "-qmp", "unix:fd=3,server=on,wait=off"};
    host.socket("/run/web.qmp");
    strings script = words;
    script.insert(script.begin(), {"/bin/sh", "/usr/bin/start-web"});
    host.add(10, "/bin/dash", script);
    host.listen(10, 3, 501, "/run/web.qmp");
    host.add(11, emulator, words, 10);
    host.listen(11, 3, 501, "/run/web.qmp");
    // It has just forked, to run a script of a tap.
    host.add(12, emulator, words, 11);
    host.listen(12, 3, 501, "/run/web.qmp");
    // It waits until the one in the background is ready.
    host.add(9, emulator, words, 1);
    host.add(13, emulator, words, 9);
    host.listen(13, 3, 502, "/run/web.qmp");
    const auto found = read_processes(host.files(), {}).qemus;
    REQUIRE(found.size() == 2);
    CHECK(found[0].identity.pid == 11);
    CHECK(found[1].identity.pid == 13);
}

TEST_CASE("a QEMU that waits in its start is known by what it polls") {
    const fake_processes host;
    const auto write_polled = [&](int pid, const std::vector<int>& descriptors) {
        std::string memory(64, '\0');
        for (const int each : descriptors) {
            const pollfd entry{each, POLLIN, 0};
            memory.append(reinterpret_cast<const char*>(&entry), sizeof entry);
        }
        const auto directory = "/proc/" + std::to_string(pid);
        char call[64];
        std::snprintf(call, sizeof call, "7 0x40 0x%zx 0xffffffff 0x0 0x0 0x0 0x7ffd 0x7f0c\n",
                      descriptors.size());
        host.write(directory + "/mem", memory);
        host.write(directory + "/syscall", call);
    };
    for (const int pid : {10, 11, 12, 13}) {
        const auto path = "/run/" + std::to_string(pid);
        host.socket(path);
        host.add(pid, emulator, {emulator, "-qmp", "unix:" + path + ",server=on"});
        host.listen(pid, 3, 500 + pid, path);
        host.link("/proc/" + std::to_string(pid) + "/fd/4", "anon_inode:[eventfd]");
        host.link("/proc/" + std::to_string(pid) + "/fd/5", "anon_inode:[signalfd]");
    }
    write_polled(10, {4, 3});                    // waits
    write_polled(11, {3, 4, 5});                 // runs, with a free monitor
    host.write("/proc/12/syscall", "running\n"); // cannot be told: waits, as far as it says
    write_polled(13, {4, 5});                    // runs, with a monitor in another thread
    const auto found = read_processes(host.files(), {}).qemus;
    REQUIRE(found.size() == 4);
    CHECK(found[0].waits_for == "/run/10");
    CHECK(addresses(found[0]) == strings{"qmp:/run/10 unusable"});
    CHECK(found[1].waits_for.empty());
    CHECK(!found[2].waits_for.empty());
    CHECK(addresses(found[2]) == strings{"qmp:/run/12 unusable"});
    CHECK(addresses(found[3]) == strings{"qmp:/run/13"});
}

TEST_CASE("TCP listeners are found where the process is, and as the kernel shows them") {
    const fake_processes host;
    host.add(10, emulator,
             {emulator, "-qmp", "tcp::4000,server=on,wait=off", "-chardev",
              "socket,id=m,host=::1,port=4000,to=4005,server=on,wait=off", "-mon", "m"});
    host.link("/proc/10/fd/3", "socket:[501]");
    host.link("/proc/10/fd/4", "socket:[502]");
    host.write("/proc/10/net/tcp",
               "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid "
               " timeout inode\n"
               "   0: 00000000:0FA0 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0 "
               "       0 501 1 0 100\n"
               "   1: 0100007F:0FA0 0100007F:D431 01 00000000:00000000 00:00000000 00000000     0 "
               "       0 777 1 0 100\n");
    host.write("/proc/10/net/tcp6",
               "  sl  local_address\n"
               "   0: 00000000000000000000000001000000:0FA2 00000000000000000000000000000000:0000 "
               "0A 00000000:00000000 00:00000000 00000000     0        0 502 1 0 100\n");
    const auto found = read_processes(host.files(), {}).qemus;
    REQUIRE(found.size() == 1);
    CHECK(addresses(found[0]) == strings{"tcp:127.0.0.1:4000", "hmp:tcp:[::1]:4002"});
    int connected = 0;
    for_each_tcp_socket(host.files(), 10, [&](const tcp_socket& each) {
        connected += each.remote.port == 0xd431;
        return true;
    });
    CHECK(connected == 1);
}

TEST_CASE("processes that cannot be listed are told from none") {
    CHECK(read_processes(file_tree("/nowhere"), {}).failure.has_value());
    const fake_processes host;
    CHECK(!read_processes(host.files(), {}).failure);
}

TEST_CASE("of several guests of one name our own is meant, or all are named") {
    host_facts host;
    const auto add = [&](int pid, std::uint32_t uid) {
        auto& process = host.qemus.emplace_back();
        process.identity.pid = pid;
        process.uid = uid;
        process.name = "web";
    };
    add(10, 4242);
    CHECK((*find_vm(host, "web"))->identity.pid == 10);
    CHECK(find_vm(host, "web", 4243).error().code == error_code::vm_foreign);
    add(11, ::geteuid());
    CHECK((*find_vm(host, "web"))->identity.pid == 11);
    CHECK((*find_vm(host, "web", 4242))->identity.pid == 10);
    CHECK((*find_vm(host, "10"))->identity.pid == 10);
    add(12, ::geteuid());
    const auto several = find_vm(host, "web");
    REQUIRE(several.has_error());
    CHECK(several.error().code == error_code::vm_ambiguous);
    CHECK(several.error().text.find("pid 10 of uid 4242") != std::string::npos);
}
