#pragma once

#include <vmplug/guest_facts.hpp>
#include <vmplug/host_facts.hpp>
#include <vmplug/operation_report.hpp>
#include <vmplug/process_view.hpp>
#include <vmplug/step.hpp>

#include <boost/asio/awaitable.hpp>

#include <chrono>
#include <functional>
#include <memory>
#include <stop_token>
#include <string>
#include <vector>

namespace vmplug {

class monitor;

/// What belongs to one operation alone.
struct operation_options {
    /// The caller's key for this request: asked for again, the first operation is reported. Empty:
    /// it has none.
    std::string request_id;
    bool dry_run = false; ///< tell what would be done; touches nothing, and makes no file

    /// For all of it, from the first look on; when it is over, what was done is undone. Of what is
    /// on its way home, until the guest has let go: the rest is always done.
    std::optional<std::chrono::milliseconds> deadline;
    std::chrono::milliseconds host_deadline{10'000};  ///< of one write to the kernel
    std::chrono::milliseconds guest_deadline{30'000}; ///< of one command to QEMU, but device_add
    /// Of device_add: QEMU locks all of the guest's memory in it, which takes minutes for guests of
    /// 60 GB.
    std::chrono::milliseconds add_deadline{300'000};
    std::chrono::milliseconds turn_deadline{30'000}; ///< for our turn at a guest
    std::chrono::milliseconds greeting_deadline{2'000};
    /// Told what is being done or waited for; may be empty.
    std::function<void(const std::string& text)> progress;

    /// Asked for on the executor of the operation: it stops as soon as it is safe, and undoes what
    /// was done.
    std::stop_token stop;
};

struct controller_options {
    std::string state_directory = "/var/lib/vmplug";
    std::string invoked_as; ///< for the journal and for whoever is refused: our command line
    std::chrono::milliseconds greeting_deadline{2'000}; ///< of a monitor, for all but operations

    /// Nothing goes on beside the one thing that is asked, so that a look may wait for the kernel
    /// and the disk where it is asked for. Otherwise looks are taken on threads of their own.
    bool one_command = false;
};

/// A guest as it was just seen.
struct guest_view {
    std::optional<qemu_process> process;
    std::string monitor; ///< the address that answered
    guest_facts facts;
};

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
