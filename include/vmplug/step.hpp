#pragma once

#include <vmplug/operation.hpp>

#include <string>
#include <vector>

namespace vmplug {

/// One line for a person: what a step does.
std::string describe_step(const step& planned);

/// Commands for a shell that bring about by hand the state before an operation, for `stuck`: they
/// undo an attach or a bind, and finish a detach or a release. They start from whatever state there
/// is and do nothing when they are repeated. None for a record that cannot be believed.
std::vector<std::string> manual_undo(const operation_record& record);

} // namespace vmplug
