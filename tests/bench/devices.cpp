// How long the host is read and judged for, on an invented machine of 4,096 PCI functions on tmpfs.
//
//     build/tests/bench/devices [READINGS]          the median of that many readings (20)
//     build/tests/bench/devices --keep DIRECTORY    only makes the tree there

#include "host/read_host.hpp"
#include "judge/judge_device.hpp"

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <string>
#include <vector>

namespace {

namespace fs = std::filesystem;

constexpr int ports = 128;          ///< root ports, each with one bus below it
constexpr int functions_below = 31; ///< on each bus
constexpr int functions_of_disks_every = 16;
constexpr int processes = 300;
constexpr int descriptors_each = 10;
constexpr int mounts = 100;

std::string text_of(const char* format, auto... values) {
    char text[256];
    std::snprintf(text, sizeof text, format, values...);
    return text;
}

/// What stands in the kernel's files of one function.
struct invented {
    std::string path; ///< below /sys/devices
    std::string address;
    const char* vendor = "0x8086";
    const char* device = "0x1572";
    const char* class_code = "0x020000";
    std::string driver;
    int group = 0;
    bool bridge = false;
    bool virtual_function = false;
};

/// A machine below a directory.
class machine {
public:
    explicit machine(fs::path root) : root_(std::move(root)) {
        for (int port = 0; port < ports; ++port)
            add_port(port);
        add_processes();
        add_mounts();
        write("/proc/cmdline", "root=/dev/nvme0n1p2 intel_iommu=on\n");
        write("/sys/firmware/acpi/tables/DMAR", "");
        write("/sys/class/iommu/dmar0/intel-iommu/ecap", "f00f5e\n");
    }

private:
    void write(const std::string& path, const std::string& text) const {
        const auto file = root_.string() + path;
        fs::create_directories(fs::path(file).parent_path());
        std::ofstream(file, std::ios::binary) << text;
    }

    /// A link to another file of the tree, relative as the kernel's are.
    void link(const std::string& path, const std::string& target) const {
        const auto file = fs::path(root_.string() + path);
        fs::create_directories(file.parent_path());
        const auto from = fs::path(path).parent_path();
        fs::create_symlink(fs::path(target).lexically_relative(from), file);
    }

    /// "pci:v00008086d000010D3sv00000000sd00000000bc02sc00i00"
    static std::string alias(const invented& one) {
        const std::string vendor = one.vendor, device = one.device, code = one.class_code;
        return "pci:v0000" + vendor.substr(2) + "d0000" + device.substr(2) +
               "sv00000000sd00000000bc" + code.substr(2, 2) + "sc" + code.substr(4, 2) + "i" +
               code.substr(6, 2) + "\n";
    }

    void add_function(const invented& one) {
        const auto path = "/sys/devices/" + one.path;
        write(path + "/vendor", one.vendor + std::string("\n"));
        write(path + "/device", one.device + std::string("\n"));
        write(path + "/class", one.class_code + std::string("\n"));
        write(path + "/modalias", alias(one));
        write(path + "/config", configuration(one));
        write(path + "/boot_vga", "0\n");
        write(path + "/irq", "16\n");
        write(path + "/driver_override", "(null)\n");
        write(path + "/reset_method", one.bridge ? "pm\n" : "flr bus\n");
        for (const char* other : {"enable", "numa_node", "resource", "revision", "uevent",
                                  "subsystem_vendor", "subsystem_device", "power/control"})
            write(path + "/" + other, "");
        for (int vector = 0; vector < (one.driver.empty() ? 0 : 4); ++vector)
            write(path + "/msi_irqs/" + std::to_string(100 + vector), "");
        link(path + "/subsystem", "/sys/bus/pci");
        link("/sys/bus/pci/devices/" + one.address, path);
        const auto group = "/sys/kernel/iommu_groups/" + std::to_string(one.group);
        link(path + "/iommu_group", group);
        link(group + "/devices/" + one.address, path);
        if (one.driver.empty()) return;
        link(path + "/driver", "/sys/bus/pci/drivers/" + one.driver);
        link("/sys/bus/pci/drivers/" + one.driver + "/" + one.address, path);
    }

    /// Ids, which read as ones in a virtual function, class and header type.
    static std::string configuration(const invented& one) {
        std::string bytes(one.bridge || !one.virtual_function ? 4096 : 256, '\0');
        const std::string ids = one.virtual_function ? "\xff\xff\xff\xff" : "\x86\x80\x72\x15";
        bytes.replace(0, ids.size(), ids);
        bytes[0x0b] = one.bridge ? 6 : 2;
        bytes[0x0e] = one.bridge ? 1 : 0;
        return bytes;
    }

    void add_port(int number) {
        invented port;
        port.address = text_of("%04x:00:%02x.%x", number / 64, number % 64 / 8 + 1, number % 8);
        port.path = text_of("pci%04x:00/", number / 64) + port.address;
        port.device = "0x2030";
        port.class_code = "0x060400";
        port.driver = "pcieport";
        port.group = ++groups_;
        port.bridge = true;
        add_function(port);
        for (int i = 0; i < functions_below; ++i) {
            invented one;
            one.address = text_of("%04x:%02x:%02x.%x", number / 64, number % 64 + 1, i / 8, i % 8);
            one.path = port.path + "/" + one.address;
            one.group = ++groups_;
            if (number % functions_of_disks_every == 0)
                add_disk(one);
            else
                add_network_card(one, i);
        }
    }

    /// Function 0 is physical and has the others; every second one of those has a driver.
    void add_network_card(invented& one, int index) {
        one.virtual_function = index > 0;
        if (index == 0) physical_ = one;
        if (index > 0) one.device = "0x154c";
        if (index % 2 == 0) one.driver = index == 0 ? "i40e" : "iavf";
        add_function(one);
        const auto path = "/sys/devices/" + one.path;
        if (index == 0) {
            write(path + "/sriov_totalvfs", "64\n");
            write(path + "/sriov_numvfs", std::to_string(functions_below - 1) + "\n");
        } else {
            const auto physical = "/sys/devices/" + physical_.path;
            link(path + "/physfn", physical);
            link(physical + "/virtfn" + std::to_string(index - 1), path);
        }
        if (one.driver.empty()) return;
        const auto name = "enp" + std::to_string(++interfaces_);
        for (const char* file : {"address", "mtu", "operstate", "flags", "statistics/rx_bytes"})
            write(path + "/net/" + name + "/" + file, "1500\n");
        write(path + "/net/" + name + "/ifindex", std::to_string(1'000'000 + interfaces_) + "\n");
        link(path + "/net/" + name + "/device", path);
        link("/sys/class/net/" + name, path + "/net/" + name);
    }

    void add_disk(invented& one) {
        one.vendor = "0x144d";
        one.device = "0xa80a";
        one.class_code = "0x010802";
        one.driver = "nvme";
        add_function(one);
        const int number = disks_++;
        const auto controller = text_of("/sys/devices/%s/nvme/nvme%d", one.path.c_str(), number);
        const auto name = text_of("nvme%dn1", number);
        write(controller + "/serial", text_of("S%08d\n", number));
        link("/sys/class/nvme/" + text_of("nvme%d", number), controller);
        add_block_device(controller + "/" + name, name, number * 16);
        write(controller + "/" + name + "/partscan", "1\n");
        for (int part = 1; part <= 2; ++part) {
            const auto part_name = name + "p" + std::to_string(part);
            const auto path = controller + "/" + name + "/" + part_name;
            add_block_device(path, part_name, number * 16 + part);
            write(path + "/partition", std::to_string(part) + "\n");
        }
    }

    void add_block_device(const std::string& path, const std::string& name, int minor) {
        write(path + "/dev", text_of("259:%d\n", minor));
        write(path + "/size", "4096\n");
        fs::create_directories(root_.string() + path + "/holders");
        fs::create_directories(root_.string() + path + "/slaves");
        link("/sys/class/block/" + name, path);
        link("/sys/dev/block/" + text_of("259:%d", minor), path);
    }

    void add_processes() const {
        for (int i = 1; i <= processes; ++i) {
            const auto path = "/proc/" + std::to_string(1000 + i);
            write(path + "/comm", "worker\n");
            write(path + "/cmdline", std::string("/usr/bin/worker\0--number\0", 25));
            write(path + "/stat", text_of("%d (worker) S 1 1 1 0 -1 0 0 0 0 0 0 0 0 0 20 0 1 0 "
                                          "12345 0 0\n",
                                          1000 + i));
            write(path + "/status", "Name:\tworker\nUid:\t0\t0\t0\t0\nCapEff:\t0000000000000000\n");
            fs::create_directories(root_.string() + path + "/fd");
            for (int each = 0; each < descriptors_each; ++each)
                fs::create_symlink("/dev/null",
                                   root_.string() + path + "/fd/" + std::to_string(each));
        }
    }

    void add_mounts() const {
        std::string text = "22 1 259:2 / / rw,relatime shared:1 - ext4 /dev/nvme0n1p2 rw\n";
        for (int i = 0; i < mounts; ++i)
            text += text_of("%d 22 0:%d / /run/mount%d rw shared:%d - tmpfs tmpfs rw\n", 23 + i,
                            20 + i, i, 2 + i);
        write("/proc/self/mountinfo", text);
        write("/proc/swaps", "Filename Type Size Used Priority\n/dev/nvme1n1p1 partition 1 0 -2\n");
    }

    fs::path root_;
    invented physical_;
    int groups_ = 0, interfaces_ = 0, disks_ = 0;
};

double milliseconds_of(const vmplug::file_tree& files, std::size_t& functions) {
    functions = 0;
    const auto begin = std::chrono::steady_clock::now();
    vmplug::situation seen;
    seen.host = vmplug::read_host(files);
    // As `vmplug devices` does.
    for (const auto& function : seen.host.functions)
        functions += vmplug::judge_device({}, seen, function).findings.empty() ? 0 : 1;
    const auto end = std::chrono::steady_clock::now();
    return std::chrono::duration<double, std::milli>(end - begin).count();
}

int measure(int readings) {
    char name[] = "/dev/shm/vmplug-bench.XXXXXX";
    if (!::mkdtemp(name)) return 1;
    int code = 1;
    try {
        const machine made(name);
        const vmplug::file_tree files{name};
        std::vector<double> times(static_cast<std::size_t>(readings));
        std::size_t functions = 0;
        for (auto& each : times)
            each = milliseconds_of(files, functions);
        std::ranges::sort(times);
        std::printf("%zu functions, %d readings: median %.1f ms, best %.1f ms, worst %.1f ms\n",
                    functions, readings, times[times.size() / 2], times.front(), times.back());
        code = 0;
    } catch (const std::exception& failure) {
        std::fprintf(stderr, "%s\n", failure.what());
    }
    fs::remove_all(name);
    return code;
}

} // namespace

int main(int argc, char** argv) {
    if (argc == 3 && std::string(argv[1]) == "--keep") {
        const machine kept(argv[2]);
        return 0;
    }
    return measure(argc > 1 ? std::max(1, std::atoi(argv[1])) : 20);
}
