#pragma once

#include "command/handle/command_context.hpp"
#include "judge/situation.hpp"

namespace vmplug {

/// The host and the journal as they are now, for what only looks. Without rights on the journal the
/// owners that only it knows are missing; the rest is worth showing. `kernel_words`: the kernel's
/// log and configuration too.
situation look_at_host(command_context& context, bool kernel_words);

} // namespace vmplug
