#pragma once

#include "port/host_reader.hpp"
#include "system/file_tree.hpp"
#include "system/worker.hpp"

namespace vmplug {

/// The real host, or a copy of its files.
///
/// It is read on a thread, so that whatever else goes on does not wait for the kernel; who asks at
/// once for the same shares one reading. The thread begins with the first, and ends with this.
class linux_host_reader final : public host_reader {
public:
    /// Where nothing else goes on meanwhile, no thread is needed.
    enum class readings { on_a_thread, at_once };

    explicit linux_host_reader(file_tree files, readings where = readings::on_a_thread);

    task<host_facts> read_host() override;
    task<host_facts> read_names() override;
    task<host_facts> read_functions() override;
    task<function_abilities> read_abilities(const host_facts& host, host_address device) override;
    task<std::optional<process_view>> view_device(const host_facts& host,
                                                  std::optional<qemu_process> qemu,
                                                  host_address device) override;
    std::optional<host_address> resolve_device(const std::string& path) override;

private:
    const file_tree files_;
    shared_reading<host_facts> host_;
    shared_reading<host_facts> names_;
    shared_reading<host_facts> functions_;
    worker worker_; ///< last: it ends before what it works on
};

/// What a QEMU sees of a device; nothing when its process is not known, or the device is in no
/// IOMMU group.
std::optional<process_view> view_device(const file_tree& files, const host_facts& host,
                                        const std::optional<qemu_process>& qemu,
                                        const host_address& device);

/// The function behind a path of sysfs.
std::optional<host_address> resolve_device(const file_tree& files, const std::string& path);

} // namespace vmplug
