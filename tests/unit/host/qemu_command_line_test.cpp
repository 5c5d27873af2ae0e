#include "host/qemu_command_line.hpp"

#include <doctest/doctest.h>

using namespace vmplug;

namespace {

qemu_command_line parse(std::vector<std::string> arguments, const std::string& config = {}) {
    arguments.insert(arguments.begin(), "/usr/bin/qemu-system-x86_64");
    return parse_qemu_command_line(arguments, [&](const std::string&) { return config; });
}

std::string describe(const monitor_claim& claim) {
    const std::string speaks = claim.speaks == qemu_monitor::protocol::qmp ? "qmp " : "hmp ";
    switch (claim.where) {
    case monitor_claim::place::unix_path:
        return speaks + claim.path;
    case monitor_claim::place::abstract_name:
        return speaks + "@" + claim.path;
    case monitor_claim::place::descriptor:
        return speaks + "fd " + std::to_string(claim.descriptor);
    case monitor_claim::place::tcp:
        break;
    }
    return speaks + claim.host + " " + std::to_string(claim.port) + ".." +
           std::to_string(claim.port_last);
}

std::vector<std::string> monitors(const qemu_command_line& read) {
    std::vector<std::string> claims;
    for (const auto& each : read.monitors)
        claims.push_back(describe(each));
    return claims;
}

using claims = std::vector<std::string>;

} // namespace

TEST_CASE("names and machines in all their forms") {
    CHECK(parse({"-name", "web"}).name == "web");
    CHECK(parse({"-name", "guest=web,debug-threads=on"}).name == "web");
    CHECK(parse({"-name", "web,process=web-vm"}).name == "web");
    CHECK(parse({"--name", "a,,b"}).name == "a,b");
    CHECK(parse({"-machine", "type=q35,accel=kvm"}).machine == "q35");
    CHECK(parse({"-M", "pc-i440fx-7.2", "-machine", "accel=tcg"}).machine == "pc-i440fx-7.2");
    CHECK(parse({"-name"}).name.empty());
}

TEST_CASE("monitors: short forms, chardevs before and after, descriptors") {
    CHECK(monitors(parse({"-qmp", "unix:/run/a,server=on,wait=off"})) == claims{"qmp /run/a"});
    CHECK(monitors(parse({"-qmp", "unix:/a,,b/q,server"})) == claims{"qmp /a,b/q"});
    CHECK(monitors(parse({"-qmp", "unix:fd=3,server,nowait"})) == claims{"qmp fd 3"});
    CHECK(monitors(parse({"-qmp", "tcp::4444,server"})) == claims{"qmp  4444..4444"});
    CHECK(monitors(parse({"-monitor", "tcp:127.0.0.1:55555,server,nowait"})) ==
          claims{"hmp 127.0.0.1 55555..55555"});
    CHECK(monitors(parse({"-monitor", "stdio"})).empty());
    CHECK(monitors(parse({"-mon", "chardev=m,mode=control", "-chardev",
                          "socket,id=m,path=/run/a,,b,server=on"})) == claims{"qmp /run/a,b"});
    CHECK(monitors(parse({"-chardev", "socket,id=m,path=/run/m,server=on", "-mon", "m"})) ==
          claims{"hmp /run/m"});
    CHECK(monitors(parse({"-chardev", "socket,id=m,fd=22,server=on", "-monitor", "chardev:m"})) ==
          claims{"hmp fd 22"});
    CHECK(monitors(parse({"-chardev", "socket,id=m,host=::1,port=4000,to=4010,server=on", "-mon",
                          "m"})) == claims{"hmp ::1 4000..4010"});
    CHECK(monitors(parse({"-chardev", "socket,id=m,path=x,abstract=on,server=on", "-mon", "m"})) ==
          claims{"hmp @x"});
    CHECK(monitors(parse({"-mon", "chardev=nothing,mode=control"})).empty());
}

TEST_CASE("what connects as a client is no monitor of ours") {
    CHECK(monitors(parse({"-chardev", "socket,id=m,path=/run/x,reconnect=5", "-mon",
                          "chardev=m,mode=control"}))
              .empty());
    CHECK(monitors(parse({"-qmp", "unix:/run/x"})).empty());
    CHECK(monitors(parse({"-qmp", "unix:/run/x,server=off"})).empty());
}

TEST_CASE("monitors that cannot be spoken to are known as such") {
    for (const char* each : {"telnet:127.0.0.1:4000,server", "websocket::4000,server=on",
                             "tcp::4000,server,telnet=on", "tcp::4000,server=on,tls-creds=t"}) {
        const auto read = parse({"-monitor", each});
        REQUIRE(read.monitors.size() == 1);
        CHECK(!read.monitors[0].unusable.empty());
    }
    const auto serial = parse({"-serial", "mon:unix:/run/s,server=on,wait=off"});
    REQUIRE(serial.monitors.size() == 1);
    CHECK(!serial.monitors[0].unusable.empty());
    CHECK(parse({"-qmp", "unix:/x,server=on,wait=off"}).monitors[0].unusable.empty());
}

TEST_CASE("a socket waits unless it is told not to") {
    CHECK(parse({"-qmp", "unix:/x,server=on"}).waits);
    CHECK(parse({"-serial", "unix:/x,server"}).waits);
    CHECK(!parse({"-qmp", "unix:/x,server,nowait"}).waits);
    CHECK(!parse({"-chardev", "socket,id=m,path=/x,server=on,wait=off"}).waits);
    CHECK(!parse({"-chardev", "socket,id=m,path=/x"}).waits);
}

TEST_CASE("JSON and configuration files say the same as options") {
    CHECK(monitors(parse({"-chardev",
                          R"({"id":"m","backend":{"type":"socket","data":{"addr":)"
                          R"({"type":"unix","data":{"path":"/run/j"}},"server":true}}})",
                          "-mon", "chardev=m,mode=control"})) == claims{"qmp /run/j"});
    CHECK(parse({"-device", R"({"driver":"vfio-pci","host":"0000:01:00.0"})"}).hosts.size() == 1);
    const auto read = parse({"-readconfig", "/etc/web.cfg"},
                            "# a comment\n[chardev \"m\"]\n  backend = \"socket\"\n"
                            "  path = \"/run/c\"\n  server = \"on\"\n  wait = \"off\"\n"
                            "[mon \"x\"]\n  chardev = \"m\"\n  mode = \"control\"\n"
                            "[name]\n  guest = \"web\"\n[machine]\n  type = \"q35\"\n");
    CHECK(monitors(read) == claims{"qmp /run/c"});
    CHECK(read.name == "web");
    CHECK(read.machine == "q35");
    CHECK(!read.waits);
    for (const char* damaged : {"[", "[chardev", "[mon \"", "=", "x = \"", "[a]\n\"=\""})
        CHECK(parse({"-readconfig", "x"}, damaged).monitors.empty());
    CHECK(parse({"-chardev", "{\"id\":", "-chardev", "{}", "-mon", "{}"}).monitors.empty());
}

TEST_CASE("devices of the host") {
    const auto read = parse({"-device", "vfio-pci,host=0000:01:00.0,id=x", "-device",
                             "pci-assign,host=02:00.0", "-device", "e1000e,netdev=n"});
    REQUIRE(read.hosts.size() == 2);
    CHECK(format_address(read.hosts[1]) == "0000:02:00.0");
}

TEST_CASE("a command line of 70,000 monitors costs no more than its reading") {
    std::vector<std::string> arguments;
    for (int i = 0; i < 70'000; ++i) {
        arguments.insert(arguments.end(), {"-mon", "chardev=m"});
        arguments.insert(arguments.end(), {"-qmp", "unix:/run/x,server=on,wait=off"});
    }
    CHECK(parse(arguments).monitors.size() == qemu_command_line::monitors_max);
}

TEST_CASE("words of any depth and any number are read in bounded time") {
    std::string deep = "{\"x\":" + std::string(200'000, '[') + std::string(200'000, ']') + "}";
    CHECK(parse_qemu_command_line({"qemu", "-name", deep}, {}).name.empty());
    std::string nested;
    for (int i = 0; i < 100'000; ++i)
        nested += "{\"a\":";
    nested += "1" + std::string(100'000, '}');
    CHECK(parse_qemu_command_line({"qemu", "-chardev", nested}, {}).monitors.empty());
    std::vector<std::string> many{"qemu"};
    for (int i = 0; i < 5'000; ++i) {
        many.emplace_back("-readconfig");
        many.emplace_back("x");
    }
    std::size_t reads = 0;
    const std::string config(900'000, '\n');
    (void)parse_qemu_command_line(many, [&](const std::string&) {
        ++reads;
        return config;
    });
    CHECK(reads < 20);
}

TEST_CASE("a later -name that says something else leaves the guest's name") {
    const std::vector<std::string> words{"qemu",  "-name",       "guest=third",
                                         "-name", "process=foo", "x"};
    CHECK(parse_qemu_command_line(words, {}).name == "third");
}
