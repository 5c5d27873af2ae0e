#include "guest/device_tree.hpp"
#include "guest/hmp_survey.hpp"
#include "guest/qemu_words.hpp"

#include <doctest/doctest.h>

#include <map>

using namespace vmplug;

namespace {

guest_facts survey(const std::map<std::string, std::string>& outputs) {
    hmp_survey asking("1.2.3");
    const auto lines = hmp_survey_lines();
    for (std::size_t i = 0; i < lines.size(); ++i)
        if (const auto found = outputs.find(lines[i]); found != outputs.end())
            asking.answer(i, found->second);
    return asking.facts();
}

// As QEMU 7.2 prints it for -machine q35, shortened.
const std::string q35_tree = R"(bus: main-system-bus
  type System
  dev: q35-pcihost, id ""
    bus: pcie.0
      type PCIE
      dev: pcie-root-port, id "rp1"
        hotplug = false
        bus: rp1
          type PCIE
      dev: pcie-root-port, id "rp0"
        hotplug = true
        bus: rp0
          type PCIE
          dev: vfio-pci, id "nic0"
            host = "0000:01:00.0"
            bar 0: mem at 0xfebc0000 [0xfebdffff]
      dev: pcie-root-port, id "rp2"
        hotplug = true
        bar 0: mem at 0xffffffffffffffff [0xffe]
        bus: rp2
          type PCIE
          dev: e1000e, id ""
            mac = "52:54:00:12:34:56"
)";

} // namespace

TEST_CASE("the tree of q35 gives ports, occupants and assigned devices") {
    const auto facts = survey({{"info name", "web\n"},
                               {"info status", "VM status: paused (prelaunch)\n"},
                               {"info memory_size_summary", "base memory: 64\nplugged memory: 8\n"},
                               {"info qtree", q35_tree},
                               {"device_add vfio-pci,?",
                                "vfio-pci options:\n  host=<str>             - Address (PCI)\n"}});
    CHECK(facts.name == "web");
    CHECK(facts.status == "prelaunch");
    CHECK(!facts.running);
    CHECK(facts.ram_bytes == 72);
    REQUIRE(facts.find_port("rp0"));
    CHECK(facts.find_port("rp0")->occupants == std::vector<std::string>{"nic0"});
    CHECK(!facts.find_port("rp1")->takes_hot_add);
    CHECK(!facts.find_port("rp2")->is_free());
    CHECK(!facts.find_port("pcie.0")->takes_hot_add);
    REQUIRE(facts.find_device("nic0"));
    CHECK(facts.find_device("nic0")->host == "0000:01:00.0");
    CHECK(facts.find_device("nic0")->configured);
    REQUIRE(facts.vfio_pci);
    REQUIRE(facts.vfio_pci->find("host"));
    CHECK(facts.vfio_pci->find("host")->type == "str");
    CHECK(!facts.pci_assign);
}

TEST_CASE("the form of 0.12") {
    const auto facts = survey(
        {{"info status", "VM status: running\n"},
         {"info qtree", "bus: main-system-bus\n  type System\n  dev: i440FX-pcihost, id \"\"\n"
                        "    bus: pci.0\n      type PCI\n      dev: pci-assign, id \"mydevice\"\n"
                        "        dev-prop: host = 01:00.0\n        bus-prop: addr = 04.0\n"
                        "        class Ethernet controller, addr 00:04.0, pci id 8086:10b9\n"
                        "        bar 0: mem at 0xffffffffffffffff [0x1fffe]\n"},
         {"device_add pci-assign,?", ""}});
    CHECK(facts.running);
    REQUIRE(facts.find_port("pci.0"));
    CHECK(facts.find_port("pci.0")->is_free());
    REQUIRE(facts.find_device("mydevice"));
    CHECK(facts.find_device("mydevice")->host == "01:00.0");
    CHECK(!facts.find_device("mydevice")->configured);
    // Its help goes to QEMU's own stderr.
    CHECK(facts.pci_assign);
    CHECK(!facts.vfio_pci);
}

TEST_CASE("a monitor without info qtree shows the same in info pci") {
    const auto facts =
        survey({{"info pci", "  Bus  0, device   0, function 0:\n"
                             "    Host bridge: PCI device 8086:1237\n"
                             "  Bus  0, device   4, function 0:\n"
                             "    Ethernet controller: PCI device 8086:10b9\n"
                             "      IRQ 11.\n"
                             "      BAR0: 32 bit memory at 0xf2000000 [0xf201ffff].\n"
                             "      id \"mydevice\"\n"}});
    CHECK(facts.find_port("pci.0"));
    REQUIRE(facts.find_device("mydevice"));
    CHECK(facts.find_device("mydevice")->configured);
}

TEST_CASE("the models that a monitor describes") {
    const auto facts =
        survey({{"device_add vfio-pci,?", "vfio-pci.host=pci-host-devaddr\n"},
                {"device_add pci-assign,?", "kvm-pci-assign.host=pci-host-devaddr\n"}});
    REQUIRE(facts.pci_assign);
    CHECK(facts.pci_assign->find("host"));
    CHECK(facts.vfio_pci);
    // What a QEMU does not know it refuses.
    CHECK_FALSE(survey({}).pci_assign);
    CHECK_FALSE(survey({}).vfio_pci);
}

TEST_CASE("a damaged or hostile tree is bounded") {
    std::string text;
    for (int i = 0; i < 5000; ++i)
        text += std::string(static_cast<std::size_t>(i), ' ') + "bus: b\n" +
                std::string(static_cast<std::size_t>(i), ' ') + " dev: e1000, id \"x\"\n";
    CHECK(parse_device_tree(text).devices.size() == device_tree::devices_max);
    CHECK(parse_device_tree("dev: \nbar \nid \"\n = \n").devices.size() == 1);
    CHECK(parse_pci_list("id \"x\"\nBAR0\n").devices.empty());
}

TEST_CASE("QEMU's words on a device_add are recognised") {
    const auto code = [](const char* words) {
        return recognise_refusal({error_code::command_failed, "device_add", words, {}}).code;
    };
    CHECK(code("No IOMMU found.  Unable to assign device \"mydevice\"") == error_code::no_iommu);
    CHECK(code("Failed to assign irq for \"mydevice\": Device or resource busy\nPerhaps you are "
               "assigning a device that shares an IRQ with another device?") ==
          error_code::interrupt_shared);
    CHECK(code("Error: Property 'pci-assign.foo' not found") == error_code::property_unknown);
    CHECK(code("Error: 'pci-assign' is not a valid device model name") ==
          error_code::model_unavailable);
    CHECK(code("Error: vfio 0000:01:00.0: group 7 is not viable") == error_code::group_not_viable);
    CHECK(code("something new") == error_code::command_failed);
    const auto unnamed = recognise_refusal({error_code::command_failed,
                                            "device_add",
                                            "Device 'pci-assign' could not be initialized",
                                            {}});
    CHECK(unnamed.code == error_code::command_failed);
    CHECK(unnamed.advised != advice::none);
    CHECK(recognise_refusal({error_code::timed_out, "", "No IOMMU found", {}}).code ==
          error_code::timed_out);
}
