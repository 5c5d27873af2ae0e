#pragma once

#include "controller/guest_link.hpp"
#include "port/file_tree.hpp"

#include <vmplug/host_facts.hpp>
#include <vmplug/process_view.hpp>

namespace vmplug {

/// Surveys a guest, and finds out which functions its assigned devices are: QEMU may have been
/// given any path into sysfs instead of an address.
boost::asio::awaitable<result<guest_facts>> survey_guest(guest_link& link, const file_tree& files,
                                                         guest_link::duration deadline);

/// What the guest's QEMU sees of a device; nothing when its process is not known, or the device is
/// in no IOMMU group.
std::optional<process_view> view_device(const file_tree& files, const host_facts& host,
                                        const std::optional<qemu_process>& qemu,
                                        const host_address& device);

} // namespace vmplug
