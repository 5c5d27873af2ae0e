#pragma once

#include "step/step_kind.hpp"

namespace vmplug {

/// Asks the guest to let go of `qdev_id` and waits until QEMU has the device no more.
///
/// Asks again when the guest was busy, and every few seconds, because a guest that was booting may
/// have missed the request. Returns at once when the device, or its QEMU, is gone.
/// Errors: `unplug_pending` after `most`, or when a stop was requested: the request stands and QEMU
/// completes it when the guest lets go or is reset.
boost::asio::awaitable<result<void>> release_device(step_context& context, std::string qdev_id,
                                                    std::chrono::milliseconds most);

/// A command that asks for it by hand; the guest is named by its monitor, which a record has.
std::string manual_device_del(const std::string& qdev_id, const fields& subject);

/// Looks for the device in the guest. `gone` also when that QEMU does not run any more: what it had
/// open, the kernel has closed.
boost::asio::awaitable<result<guest_sight>> look_for_device(step_context& context,
                                                            std::string qdev_id);

} // namespace vmplug
