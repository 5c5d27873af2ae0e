#pragma once

#include "port/file_tree.hpp"
#include "port/host_reader.hpp"

namespace vmplug {

/// The real host, or a copy of its files.
class linux_host_reader final : public host_reader {
public:
    explicit linux_host_reader(file_tree files) : files_(std::move(files)) {}

    task<host_facts> read_host() override;
    task<host_facts> read_names() override;
    task<host_facts> read_functions() override;
    task<function_abilities> read_abilities(const host_facts& host, host_address device) override;
    task<std::optional<process_view>> view_device(const host_facts& host,
                                                  std::optional<qemu_process> qemu,
                                                  host_address device) override;
    std::optional<host_address> resolve_device(const std::string& path) override;

private:
    file_tree files_;
};

/// What a QEMU sees of a device; nothing when its process is not known, or the device is in no
/// IOMMU group.
std::optional<process_view> view_device(const file_tree& files, const host_facts& host,
                                        const std::optional<qemu_process>& qemu,
                                        const host_address& device);

/// The function behind a path of sysfs.
std::optional<host_address> resolve_device(const file_tree& files, const std::string& path);

} // namespace vmplug
