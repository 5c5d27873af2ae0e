#pragma once

#include "judge/situation.hpp"

#include <vmplug/finding.hpp>

namespace vmplug {

/// Judges whether the guest's QEMU can reach the device's nodes (`situation::view`): what it does
/// not see, or may not open, it cannot be given; what cannot be told may be forced. Nothing when it
/// was not looked at.
std::vector<finding> judge_view(const situation& seen, const host_address& device);

} // namespace vmplug
