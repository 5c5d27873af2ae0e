#pragma once

#include <vmplug/error.hpp>

namespace vmplug {

/// Gives QEMU's refusal of a device_add the code and the advice that fit its words. The words stay
/// as they are; what is not known stays `command_failed`.
///
/// Source: the messages of qemu-kvm 0.12's device-assignment.c, hw/i386/kvm/pci-assign.c
/// until 2.11, hw/vfio/pci.c and qdev-monitor.c until today.
error recognise_refusal(error failure);

} // namespace vmplug
