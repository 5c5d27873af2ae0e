#include "guest/object_tree.hpp"

#include <doctest/doctest.h>

using namespace vmplug;

TEST_CASE("the objects of a QEMU and where they are") {
    const auto objects = parse_object_tree("/machine (pc-q35-7.2-machine)\r\n"
                                           "  /fw_cfg (fw_cfg_io)\r\n"
                                           "    /\\x2from@etc[0] (memory-region)\r\n"
                                           "  /q35 (q35-pcihost)\r\n"
                                           "    /pcie.0 (PCIE)\r\n"
                                           "    /a name (with brackets) (mch)\r\n");
    REQUIRE(objects.size() == 5);
    CHECK(objects[0].parent.empty());
    CHECK(objects[2].path == "/machine/q35");
    CHECK(objects[3].path == "/machine/q35/pcie.0");
    CHECK(objects[3].type == "PCIE");
    CHECK(objects[3].parent == "/machine/q35");
    CHECK(objects[4].path == "/machine/q35/a name (with brackets)");
    CHECK(objects[4].type == "mch");
}

TEST_CASE("a tree of another form, or without an end, is bounded") {
    CHECK(parse_object_tree("").empty());
    CHECK(parse_object_tree("/\n/ ()\n (x)\n/x ()\nmachine (x)\n/a/b (x)\n").empty());
    CHECK(parse_object_tree("/" + std::string(100000, 'x') + " (PCI)").empty());
    std::string deep;
    for (std::size_t i = 0; i < 1000; ++i)
        deep += std::string(i, ' ') + "/x (PCI)\n";
    CHECK(parse_object_tree(deep).size() == 64);
    std::string wide;
    for (std::size_t i = 0; i < tree_objects_max + 1; ++i)
        wide += "/x (PCI)\n";
    CHECK(parse_object_tree(wide).size() == tree_objects_max);
}
