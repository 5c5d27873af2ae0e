#pragma once

#include <array>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <stdexcept>
#include <string>
#include <vector>

#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

/// A real QEMU without a guest program, with two QMP monitors (the second with pretty=on), in a
/// directory of its own. Ended and removed with the object.
class qemu_process {
public:
    explicit qemu_process(std::vector<std::string> more = {}) {
        std::array<char, 32> name{"/tmp/vmplug-test.XXXXXX"};
        if (!::mkdtemp(name.data())) throw std::runtime_error("mkdtemp");
        directory_ = name.data();
        std::vector<std::string> arguments{"qemu-system-x86_64",
                                           "-accel",
                                           "tcg",
                                           "-machine",
                                           "q35",
                                           "-m",
                                           "32",
                                           "-nodefaults",
                                           "-no-user-config",
                                           "-display",
                                           "none",
                                           "-S",
                                           "-name",
                                           "guest=test",
                                           "-qmp",
                                           "unix:" + path("qmp") + ",server=on,wait=off",
                                           "-qmp-pretty",
                                           "unix:" + path("pretty") + ",server=on,wait=off",
                                           "-device",
                                           "pcie-root-port,id=rp0,chassis=1,slot=1"};
        arguments.insert(arguments.end(), more.begin(), more.end());
        start(arguments);
    }
    qemu_process(const qemu_process&) = delete;
    qemu_process& operator=(const qemu_process&) = delete;
    ~qemu_process() {
        end();
        for (const char* each : {"qmp", "pretty"})
            std::remove(path(each).c_str());
        ::rmdir(directory_.c_str());
    }

    std::string path(const std::string& name) const { return directory_ + "/" + name; }
    int pid() const { return pid_; }
    void send(int signal) const { ::kill(pid_, signal); }

    void end() {
        if (pid_ <= 0) return;
        send(SIGKILL);
        int status = 0;
        ::waitpid(pid_, &status, 0);
        pid_ = -1;
    }

private:
    void start(const std::vector<std::string>& arguments) {
        std::vector<char*> argv;
        for (const auto& each : arguments)
            argv.push_back(const_cast<char*>(each.c_str()));
        argv.push_back(nullptr);
        pid_ = ::fork();
        if (pid_ == 0) {
            ::execvp(argv[0], argv.data());
            ::_exit(127);
        }
        struct stat found {};
        for (int i = 0; i < 1000 && ::stat(path("pretty").c_str(), &found) != 0; ++i)
            ::usleep(10'000);
    }

    std::string directory_;
    int pid_ = -1;
};
