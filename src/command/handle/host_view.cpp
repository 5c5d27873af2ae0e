#include "command/handle/host_view.hpp"

namespace vmplug {

situation look_at_host(command_context& context, bool kernel_words) {
    situation seen;
    seen.host = context.control.read_host(false, kernel_words);
    if (auto assigned = context.control.assignments(); assigned.has_value())
        seen.assigned = std::move(*assigned);
    if (auto open = context.control.open_operations(); open.has_value())
        seen.open = std::move(*open);
    return seen;
}

} // namespace vmplug
