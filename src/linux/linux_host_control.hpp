#pragma once

#include "port/host_control.hpp"
#include "system/file_tree.hpp"

namespace vmplug {

/// The real host. Work that may block runs in a child process (port/child_task); when its deadline
/// expires the child is left to the kernel.
class linux_host_control final : public host_control {
public:
    explicit linux_host_control(file_tree files, std::vector<int> leases = {})
        : files_(std::move(files)), leases_(std::move(leases)) {}

    std::unique_ptr<host_control> holding(const std::vector<const lease*>& leases) override;

    task<void> write(std::string path, std::string value,
                     std::chrono::milliseconds deadline) override;
    task<std::string> read(std::string path, std::chrono::milliseconds deadline) override;
    task<void> load_module(std::string name, std::chrono::milliseconds deadline) override;
    task<bool> finds_module(std::string name, std::chrono::milliseconds deadline) override;
    task<netdev_survey> read_netdevs(std::string device,
                                     std::chrono::milliseconds deadline) override;
    task<void> change_netdev(netdev_change change, std::chrono::milliseconds deadline) override;
    bool is_there(const network_namespace& which) override;
    std::vector<std::string> list_netdevs(const std::string& device) override;
    std::string read_line(const std::string& path) override;
    std::optional<std::string> read_link_name(const std::string& path) override;
    bool exists(const std::string& path) override;
    result<memlock> read_memlock(std::int32_t pid) override;
    result<void> set_memlock(std::int32_t pid, memlock limits) override;
    bool is_alive(const process_identity& process) override;

private:
    file_tree files_;
    std::vector<int> leases_; ///< descriptors
};

} // namespace vmplug
