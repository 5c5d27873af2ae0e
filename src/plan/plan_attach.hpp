#pragma once

#include "judge/situation.hpp"

#include <vmplug/plan.hpp>

namespace vmplug {

/// Decides how the device gets to the guest, or why it does not: every reason at once, the guest's
/// before the host's. Pure: nothing is read and nothing is touched.
plan plan_attach(const attach_request& request, const situation& seen);

/// Decides how the device gets to its assignment driver, for a QEMU that somebody else starts. Only
/// the host's half of `seen` is looked at.
plan plan_bind(const bind_request& request, const situation& seen);

} // namespace vmplug
