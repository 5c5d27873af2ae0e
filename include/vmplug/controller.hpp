#pragma once

#include <vmplug/controller_options.hpp>
#include <vmplug/guest_view.hpp>
#include <vmplug/operation_options.hpp>
#include <vmplug/operation_report.hpp>
#include <vmplug/process_view.hpp>
#include <vmplug/step.hpp>

#include <boost/asio/awaitable.hpp>

#include <chrono>
#include <functional>
#include <memory>
#include <string>
#include <vector>

namespace vmplug {

class monitor;

/// The use cases: attach, detach, bind, release, recover; and what they look at.
///
/// Errors: everything that is expected to go wrong is in the report, with its outcome; the state
/// after it is what the outcome says.
/// Cancellation: ask for the `stop` of the operation's options; do not cancel the coroutine, which
/// would leave a step half done (the journal then settles it at the next `recover`).
/// Lifetime: it has to outlive its operations, of which several may run at once; several processes
/// may each have one.
class controller {
public:
    explicit controller(controller_options options);
    ~controller();

    /// Reads the host, on the thread of the caller; see `host_facts`. Waits for no device.
    host_facts read_host(bool monitor_clients, bool kernel_words) const;
    function_abilities read_abilities(const host_facts& host, const host_address& device) const;

    /// The guests of this host. Errors: `host_io`, `permission_denied` (/proc cannot be listed).
    result<std::vector<qemu_process>> read_qemus(bool monitor_clients) const;

    /// Connects to a guest's monitor, or shares the connection that there is: QEMU serves one
    /// client at a time, and operations share it as well. Of a guest that is named by name or pid
    /// it is shown that its process answers; an address is taken as it is written.
    boost::asio::awaitable<result<std::unique_ptr<monitor>>> connect(std::string guest) const;

    /// The same for one monitor of a process that was found.
    boost::asio::awaitable<result<std::unique_ptr<monitor>>> connect(const qemu_process& process,
                                                                     std::string address) const;

    /// Runs one line of the guest's human monitor: through QMP where there is one.
    /// Errors: as of `hmp_monitor::call`, with QEMU's words in `command_failed`.
    boost::asio::awaitable<result<std::string>> run_hmp(std::string guest, std::string line,
                                                        std::chrono::milliseconds deadline) const;

    /// Asks a guest what it has.
    boost::asio::awaitable<result<guest_view>> query_guest(std::string guest) const;

    /// What a guest's QEMU sees of a device of the host; nothing when its process is not known, or
    /// the device is in no IOMMU group.
    std::optional<process_view> view_device(const host_facts& host,
                                            const std::optional<qemu_process>& qemu,
                                            const host_address& device) const;

    boost::asio::awaitable<operation_report> attach(std::string guest, std::string device,
                                                    attach_request request,
                                                    operation_options options);
    boost::asio::awaitable<operation_report> detach(std::string guest, detach_request request,
                                                    operation_options options);

    /// The host's half alone: to the assignment driver, and back to what it was.
    boost::asio::awaitable<operation_report> bind(std::string device, bind_request request,
                                                  operation_options options);
    boost::asio::awaitable<operation_report> release(std::string device, operation_options options);

    /// Settles every operation whose process has ended, and takes home what guests have lost:
    /// assignments whose QEMU or device is gone. One report for each.
    boost::asio::awaitable<result<std::vector<operation_report>>>
    recover(operation_options options);

    /// For a process that stays: settles by itself what guests let go of late, of the detaches of
    /// this controller that ended as `unplug_pending`, until the stop of its options is asked for.
    /// Such a guest is listened to meanwhile, so that its monitor is this process's. One may run at
    /// a time; its options are those of each operation that it goes on with.
    boost::asio::awaitable<void> keep_settling(std::function<void(const operation_report&)> settled,
                                               operation_options options);

    result<std::vector<operation_record>> assignments() const;
    result<std::vector<operation_record>> open_operations() const;
    result<std::vector<operation_record>> latest_operations(std::size_t count) const;
    result<operation_record> load_operation(std::int64_t number) const;

    /// Whether the process that ran an operation still runs it.
    bool is_running(const operation_record& record) const;

    /// Whether the guest's process of an operation has ended; false when it is not known.
    bool has_ended(const operation_record& record) const;

private:
    struct implementation;
    std::unique_ptr<implementation> implementation_;
};

} // namespace vmplug
