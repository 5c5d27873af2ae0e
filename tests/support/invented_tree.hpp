#pragma once

#include "system/file_tree.hpp"

#include <filesystem>
#include <fstream>
#include <string>

#include <unistd.h>

namespace vmplug::testing {

/// A tree below /tmp that looks like the kernel's: /sys, /proc and /dev of a host that is not here.
class invented_tree {
public:
    invented_tree() {
        char name[] = "/tmp/vmplug-tree.XXXXXX";
        root_ = ::mkdtemp(name);
    }
    ~invented_tree() { std::filesystem::remove_all(root_); }
    invented_tree(const invented_tree&) = delete;
    invented_tree& operator=(const invented_tree&) = delete;

    void write(const std::string& path, const std::string& text) const {
        make_directory(std::filesystem::path(path).parent_path());
        std::ofstream(root_ + path, std::ios::binary) << text;
    }
    void link(const std::string& path, const std::string& target) const {
        make_directory(std::filesystem::path(path).parent_path());
        std::filesystem::create_symlink(target, root_ + path);
    }
    void make_directory(const std::string& path) const {
        std::filesystem::create_directories(root_ + path);
    }

    /// A function in /sys/devices below `parents`, e.g. "0000:00:01.0/".
    /// Returns its path, "/sys/devices/pci0000:00/...".
    std::string function(const std::string& address, const std::string& class_code,
                         const std::string& driver, const std::string& group,
                         const std::string& parents = {}) const {
        const auto path = "/sys/devices/pci0000:00/" + parents + address;
        write(path + "/vendor", "0x8086\n");
        write(path + "/device", "0x10d3\n");
        write(path + "/class", class_code + "\n");
        if (!driver.empty()) link(path + "/driver", "../../../bus/pci/drivers/" + driver);
        if (!group.empty()) link(path + "/iommu_group", "/sys/kernel/iommu_groups/" + group);
        link("/sys/bus/pci/devices/" + address, "../../../devices/pci0000:00/" + parents + address);
        return path;
    }
    /// A device below something, as /sys/class/CLASS/NAME links to it. Returns its path.
    std::string device(const std::string& kind, const std::string& path) const {
        const auto name = path.substr(path.rfind('/') + 1);
        make_directory(path);
        link("/sys/class/" + kind + "/" + name, "../.." + path.substr(4));
        return path;
    }
    /// A block device with its number and its node, of which the kernel would say `claim`.
    std::string disk(const std::string& path, const std::string& number,
                     const std::string& claim = "free") const {
        const auto name = path.substr(path.rfind('/') + 1);
        write(path + "/dev", number + "\n");
        device("block", path);
        write("/dev/" + name, "b " + number + " " + claim + "\n");
        return path;
    }
    /// A partition of a disk.
    void partition(const std::string& disk_path, const std::string& name,
                   const std::string& number) const {
        write(disk_path + "/" + name + "/partition", "1\n");
        disk(disk_path + "/" + name, number);
    }
    /// A network interface as sysfs shows it.
    void netdev(const std::string& path, int index, const std::string& mac) const {
        write(path + "/ifindex", std::to_string(index) + "\n");
        write(path + "/address", mac + "\n");
        device("net", path);
    }
    /// A process that has something open.
    void opens(int pid, const std::string& target) const {
        const auto directory = "/proc/" + std::to_string(pid);
        write(directory + "/cmdline", "holder\0of-it");
        link(directory + "/fd/" + std::to_string(next_descriptor_++), target);
    }
    /// A character device of the kernel with its node.
    void node(const std::string& sysfs_path, const std::string& node,
              const std::string& number) const {
        make_directory(sysfs_path);
        link("/sys/dev/char/" + number, "../.." + sysfs_path.substr(4));
        write(node, "c " + number + "\n");
    }

    file_tree files() const { return file_tree(root_); }

private:
    std::string root_;
    mutable int next_descriptor_ = 3;
};

} // namespace vmplug::testing
