#pragma once

#include "linux/guest_access.hpp"
#include "system/file_tree.hpp"
#include "system/worker.hpp"

namespace vmplug {

/// The QEMUs that run on this host. What /proc tells of them, and of who is at the other end of a
/// connection, is read on a thread, unless nothing else goes on meanwhile.
class process_guests final : public guests {
public:
    process_guests(file_tree files, open_monitors& open, bool on_a_thread)
        : files_(std::move(files)), open_(open), worker_(on_a_thread) {}

    /// As `vmplug::find_to_speak`.
    task<guest_reference> find_to_speak(std::string text);

    /// For what needs more of a monitor than a link. It may be used for as long as this is there.
    monitor_access access(std::chrono::milliseconds greeting_deadline) {
        return {files_, worker_, open_, greeting_deadline};
    }

    task<guest_reference> find(std::string text, std::optional<std::uint32_t> uid) override;
    boost::asio::awaitable<std::optional<qemu_process>>
    read_process(process_identity which) override;
    boost::asio::awaitable<guest_reference> find_again(const operation_record& record) override;
    task<std::unique_ptr<guest_link>> connect(guest_reference guest,
                                              std::chrono::milliseconds greeting_deadline) override;
    task<void> find_process(guest_reference& guest, const guest_link& link) override;
    result<void> check_owner(const guest_reference& guest,
                             std::optional<std::uint32_t> uid) override;

private:
    file_tree files_;
    open_monitors& open_;
    worker worker_; ///< last: it ends before what it works on
};

} // namespace vmplug
