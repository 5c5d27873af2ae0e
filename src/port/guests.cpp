#include "port/guests.hpp"

namespace vmplug {

std::string guest_reference::name() const {
    if (process && !process->name.empty()) return process->name;
    return text;
}

std::string guest_reference::lease_key() const {
    if (identity.pid == 0) return "monitor-" + monitors.front();
    return "guest-" + std::to_string(identity.pid) + "-" + std::to_string(identity.start_time);
}

} // namespace vmplug
