#pragma once

#include <chrono>
#include <functional>
#include <optional>
#include <stop_token>
#include <string>

namespace vmplug {

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

} // namespace vmplug
