#include "repl/hmp_help.hpp"

#include <doctest/doctest.h>

using namespace vmplug;

// The lines are those of QEMU 7.2 and 0.12.
TEST_CASE("the human monitor's help is read") {
    const auto found = parse_hmp_help(
        "boot_set bootdevice -- define new values for the boot device list\r\n"
        "c|cont  -- resume emulation\r\n"
        "device_add driver[,prop=value][,...] -- add device, like -device on the command line\n"
        "something else\n"
        "q|quit  -- quit the emulator\n",
        "");
    REQUIRE(found.size() == 4);
    CHECK(found[0].text == "boot_set");
    CHECK(found[0].description == "define new values for the boot device list");
    CHECK(found[1].text == "cont");
    CHECK(found[2].text == "device_add");
    CHECK(found[3].text == "quit");
}

TEST_CASE("what is below a command is read without it") {
    const auto found =
        parse_hmp_help("info balloon  -- show balloon information\r\n"
                       "info block [-n] [-v] [device] -- show info of one block device\r\n"
                       "other thing -- no\n",
                       "info");
    REQUIRE(found.size() == 2);
    CHECK(found[1].text == "block");
}
