#include "host/read_devices.hpp"
#include "host/read_host.hpp"
#include "host/read_kernel.hpp"
#include "support/invented_tree.hpp"

#include <doctest/doctest.h>

#include <sys/utsname.h>

using namespace vmplug;
using vmplug::testing::invented_tree;

TEST_CASE("functions are read with driver, group, netdev and VFs") {
    const invented_tree tree;
    tree.function("0000:00:02.0", "0x020000", "igb", "7");
    tree.function("0000:00:02.1", "0x020000", "", "");
    tree.netdev("/sys/devices/pci0000:00/0000:00:02.0/net/eth0", 2, "02:00:00:00:00:01");
    tree.write("/sys/devices/pci0000:00/0000:00:02.0/sriov_numvfs", "1\n");
    tree.link("/sys/devices/pci0000:00/0000:00:02.0/virtfn0", "../0000:00:02.1");
    tree.link("/sys/devices/pci0000:00/0000:00:02.1/physfn", "../0000:00:02.0");
    tree.write("/sys/bus/pci/devices/garbage/vendor", "x");
    const auto functions = read_functions(tree.files());
    REQUIRE(functions.size() == 2);
    CHECK(functions[0].driver == "igb");
    CHECK(functions[0].iommu_group == 7);
    CHECK(functions[0].vendor == 0x8086);
    CHECK(functions[0].netdevs == std::vector<std::string>{"eth0"});
    REQUIRE(functions[0].virtual_functions.size() == 1);
    CHECK(functions[1].physical_function == functions[0].address);
    CHECK(functions[1].driver.empty());
    CHECK(!functions[1].iommu_group);
}

TEST_CASE("evidence of the IOMMU") {
    const invented_tree tree;
    tree.write("/proc/cmdline", "root=/dev/sda1 intel_iommu=on,sm_on quiet\n");
    tree.write("/sys/firmware/acpi/tables/DMAR", "");
    auto found = read_iommu(tree.files(), false);
    CHECK(!found.enabled);
    CHECK(found.firmware_table);
    CHECK(found.asked_for);
    CHECK(!found.interrupt_remapping);
    tree.write("/sys/kernel/iommu_groups/0/type", "DMA\n");
    tree.write("/sys/class/iommu/dmar0/intel-iommu/ecap", "f00f5e\n");
    found = read_iommu(tree.files(), false);
    CHECK(found.enabled);
    CHECK(found.interrupt_remapping == true);
    tree.write("/proc/cmdline", "intel_iommu=on intremap=off");
    CHECK(read_iommu(tree.files(), false).interrupt_remapping == false);
}

TEST_CASE("capabilities are read from configuration space, also from a damaged one") {
    const invented_tree tree;
    const auto path = "/sys/bus/pci/devices/0000:00:02.0/config";
    std::string configuration(256, '\0');
    configuration[0x06] = 0x10;
    configuration[0x34] = 0x40;
    configuration[0x3d] = 1;
    configuration[0x40] = 0x05;
    configuration[0x41] = 0x50;
    configuration[0x50] = 0x11;
    configuration[0x51] = 0x40; // a ring
    tree.write(path, configuration);
    const auto address = *parse_host_address("00:02.0");
    auto found = read_abilities(tree.files(), {}, address);
    CHECK(found.msi);
    CHECK(found.msix);
    CHECK(found.interrupt_pin == 1);
    CHECK(!found.dead);
    tree.write(path, std::string(256, '\xff'));
    found = read_abilities(tree.files(), {}, address);
    CHECK(found.dead);
    CHECK(!found.msi);
    // What a virtual function shows: the ids read as ones, all else is there.
    configuration.replace(0, 4, "\xff\xff\xff\xff");
    tree.write(path, configuration);
    found = read_abilities(tree.files(), {}, address);
    CHECK(!found.dead);
    CHECK(found.msix);
}

TEST_CASE("the header tells a bridge, not the class") {
    const invented_tree tree;
    std::string header(64, '\0');
    tree.write(tree.function("0000:00:01.0", "0x068000", "", "1") + "/config", header);
    tree.write(tree.function("0000:00:02.0", "0x060100", "lpc_ich", "1") + "/config", header);
    header[0x0e] = '\x81';
    tree.write(tree.function("0000:00:03.0", "0x060400", "", "1") + "/config", header);
    tree.write(tree.function("0000:00:04.0", "0x088000", "", "1") + "/secondary_bus_number", "4\n");
    tree.function("0000:00:05.0", "0x060400", "", "1");
    tree.write(tree.function("0000:00:06.0", "0x060400", "", "1") + "/config",
               std::string(64, '\xff'));
    const auto functions = read_functions(tree.files());
    REQUIRE(functions.size() == 6);
    CHECK(!functions[0].is_bridge());
    CHECK(!functions[1].is_bridge());
    CHECK(functions[2].is_bridge());
    CHECK(functions[3].is_bridge());
    CHECK(functions[4].is_bridge());  // cannot be read
    CHECK(!functions[5].is_bridge()); // dead, and refused as that
    host_facts host;
    host.functions = functions;
    const auto verdicts = judge_group(host, functions[0]);
    CHECK(!verdicts[0].viable); // the ISA bridge is an ordinary member
    CHECK(verdicts[1].viable);
}

TEST_CASE("a group of VFIO's no-IOMMU mode isolates nothing") {
    const invented_tree tree;
    tree.function("0000:00:01.0", "0x020000", "vfio-pci", "0");
    tree.write("/sys/kernel/iommu_groups/0/name", "vfio-noiommu\n");
    const auto top = tree.files().root();
    std::filesystem::remove(top + "/sys/devices/pci0000:00/0000:00:01.0/iommu_group");
    tree.link("/sys/devices/pci0000:00/0000:00:01.0/iommu_group", "../../../kernel/iommu_groups/0");
    CHECK(read_functions(tree.files()).front().no_iommu);
    CHECK(!read_iommu(tree.files(), false).enabled);
    tree.write("/sys/module/vfio/parameters/enable_unsafe_noiommu_mode", "Y\n");
    CHECK(read_iommu(tree.files(), false).unsafe_mode);
    tree.make_directory("/sys/kernel/iommu_groups/1");
    CHECK(read_iommu(tree.files(), false).enabled);
}

TEST_CASE("the kernel's configuration, where it can be read") {
    const invented_tree tree;
    CHECK(read_kernel_options(tree.files()).empty());
    utsname kernel{};
    ::uname(&kernel);
    tree.write("/boot/config-" + std::string(kernel.release),
               "#\nCONFIG_INTEL_IOMMU=y\n# CONFIG_INTEL_IOMMU_DEFAULT_ON is not set\n"
               "CONFIG_PCI_STUB=m\nCONFIG_PCI_STUBBORN=y\n");
    auto found = read_kernel_options(tree.files());
    CHECK(found["CONFIG_INTEL_IOMMU"] == "y");
    CHECK(found["CONFIG_INTEL_IOMMU_DEFAULT_ON"] == "n");
    CHECK(found["CONFIG_PCI_STUB"] == "m");
    CHECK(found["CONFIG_AMD_IOMMU"] == "n");
}

TEST_CASE("who shares an interrupt line") {
    const invented_tree tree;
    const auto path = [](const char* address) {
        return "/sys/bus/pci/devices/0000:" + std::string(address);
    };
    host_facts host;
    for (const auto* text : {"00:02.0", "00:03.0", "00:04.0", "00:05.0"}) {
        auto& function = host.functions.emplace_back();
        function.address = *parse_host_address(text);
        function.driver = "e1000";
        tree.write(path(text) + "/irq", "16\n");
    }
    host.functions[0].netdevs = {"eth0"};
    host.functions[2].driver = "pci-stub";
    tree.write(path("00:05.0") + "/msi_irqs/30", "msi\n");
    std::string configuration(256, '\0');
    configuration[0x3d] = 1;
    tree.write(path("00:02.0") + "/config", configuration);
    tree.write("/proc/interrupts", "           CPU0\n  1:    9  IO-APIC   1-edge   i8042\n"
                                   " 16:   12  IO-APIC  16-fasteoi   eth0, i801_smbus\n"
                                   "116:    1  IO-APIC  16-fasteoi   other\n");
    const auto found = read_abilities(tree.files(), host, host.functions[0].address);
    CHECK(found.interrupt_sharers ==
          std::vector<std::string>{"0000:00:03.0 (e1000)", "i801_smbus"});
    CHECK(found.shares_interrupt());
}

TEST_CASE("a group is viable by VFIO's rule") {
    host_facts host;
    const auto add = [&](const char* address, std::uint32_t class_code, const char* driver) {
        auto& function = host.functions.emplace_back();
        function.address = *parse_host_address(address);
        function.class_code = class_code;
        function.driver = driver;
        function.iommu_group = 3;
    };
    add("04:00.0", 0x020000, "e1000");
    add("04:01.0", 0x060400, "shpchp");
    host.functions.back().is_bridge_type = true;
    add("04:02.0", 0x020000, "");
    add("04:03.0", 0x020000, "pci-stub");
    add("04:04.0", 0x020000, "mlx5_vfio_pci");
    add("04:05.0", 0x0c0330, "xhci_hcd");
    const auto verdicts = judge_group(host, host.functions.front());
    REQUIRE(verdicts.size() == 5);
    for (std::size_t i = 0; i < 4; ++i)
        CHECK(verdicts[i].viable);
    CHECK(!verdicts[4].viable);
}

TEST_CASE("a device is found by address, netdev or ids, and bad text says why") {
    host_facts host;
    for (const char* address : {"01:00.0", "02:00.0", "03:00.0"}) {
        auto& function = host.functions.emplace_back();
        function.address = *parse_host_address(address);
        function.vendor = 0x8086;
        function.device = function.address.bus == 3 ? 0x1521 : 0x10d3;
        function.netdevs = {"eth" + std::to_string(function.address.bus)};
    }
    CHECK(find_device(host, "01:00.0")->bus == 1);
    CHECK(find_device(host, "eth2")->bus == 2);
    host.functions[1].alternative_names = {"wan0", "enp2s0np0-and-a-name-of-more-than-15-letters"};
    CHECK(find_device(host, "wan0")->bus == 2);
    CHECK(find_device(host, host.functions[1].alternative_names[1])->bus == 2);
    CHECK(find_device(host, "8086:1521")->bus == 3);
    CHECK(find_device(host, "8086:10d3").error().code == error_code::device_ambiguous);
    CHECK(find_device(host, "8086:ffff").error().code == error_code::device_not_found);
    CHECK(find_device(host, "09:00.0").error().code == error_code::device_not_found);
    CHECK(find_device(host, "01:20.0").error().code == error_code::invalid_argument);
    CHECK(find_device(host, "").error().code == error_code::device_not_found);
    CHECK(find_device(host, std::string(100'000, ':')).error().where.size() <= 200);
}
