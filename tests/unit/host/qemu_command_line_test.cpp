#include "host/qemu_command_line.hpp"

#include <doctest/doctest.h>

using namespace vmplug;

namespace {

qemu_process parse(std::vector<std::string> arguments) {
    arguments.insert(arguments.begin(), "/usr/bin/qemu-system-x86_64");
    qemu_process process;
    parse_qemu_command_line(
        arguments, "/home/me", [](int fd) { return fd == 22 ? "/run/libvirt.sock" : ""; }, process);
    return process;
}

std::vector<std::string> monitors(const qemu_process& process) {
    std::vector<std::string> addresses;
    for (const auto& each : process.monitors)
        addresses.push_back(each.address);
    return addresses;
}

using addresses = std::vector<std::string>;

} // namespace

TEST_CASE("names and machines in all their forms") {
    CHECK(parse({"-name", "web"}).name == "web");
    CHECK(parse({"-name", "guest=web,debug-threads=on"}).name == "web");
    CHECK(parse({"--name", "a,,b"}).name == "a,b");
    CHECK(parse({"-machine", "type=q35,accel=kvm"}).machine == "q35");
    CHECK(parse({"-M", "pc-i440fx-7.2"}).machine == "pc-i440fx-7.2");
    CHECK(parse({"-name"}).name.empty());
}

TEST_CASE("monitors: short forms, chardevs before and after, descriptors, relative paths") {
    CHECK(monitors(parse({"-qmp", "unix:/run/a,server=on,wait=off"})) == addresses{"qmp:/run/a"});
    CHECK(monitors(parse({"-qmp", "unix:a.qmp,server"})) == addresses{"qmp:/home/me/a.qmp"});
    CHECK(monitors(parse({"-qmp", "tcp::4444,server"})) == addresses{"tcp:localhost:4444"});
    CHECK(monitors(parse({"-monitor", "unix:/run/h,server"})) == addresses{"hmp:/run/h"});
    CHECK(monitors(parse({"-monitor", "tcp:127.0.0.1:55555,server,nowait"})) ==
          addresses{"hmp:tcp:127.0.0.1:55555"});
    CHECK(monitors(parse({"-monitor", "stdio"})).empty());
    CHECK(monitors(parse({"-mon", "chardev=m,mode=control", "-chardev",
                          "socket,id=m,path=/run/m,server=on"})) == addresses{"qmp:/run/m"});
    CHECK(monitors(parse({"-chardev", "socket,id=m,path=/run/m", "-mon", "m"})) ==
          addresses{"hmp:/run/m"});
    CHECK(monitors(parse({"-chardev", "socket,id=m,fd=22,server=on", "-mon",
                          "chardev=m,id=monitor,mode=control"})) ==
          addresses{"qmp:/run/libvirt.sock"});
    CHECK(monitors(parse({"-chardev", "socket,id=m,fd=23", "-mon", "m"})).empty());
    CHECK(monitors(parse({"-mon", "chardev=nothing,mode=control"})).empty());
}

TEST_CASE("devices of the host") {
    const auto process = parse({"-device", "vfio-pci,host=0000:01:00.0,id=x", "-device",
                                "pci-assign,host=02:00.0", "-device", "e1000e,netdev=n"});
    REQUIRE(process.hosts.size() == 2);
    CHECK(format_address(process.hosts[1]) == "0000:02:00.0");
}
