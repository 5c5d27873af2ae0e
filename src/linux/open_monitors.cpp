#include "linux/open_monitors.hpp"

namespace vmplug {

/// A socket with a path is the same one from every network.
open_monitors::key open_monitors::key_of(const std::string& address, std::int32_t network_of) {
    const auto parsed = parse_monitor_address(address);
    const bool has_path = parsed.has_value() && !parsed->path.empty() && !parsed->abstract;
    return {address, has_path ? 0 : network_of};
}

std::unique_ptr<monitor> open_monitors::share(const std::string& address,
                                              std::int32_t network_of) const {
    const auto found = known_.find(key_of(address, network_of));
    return found == known_.end() ? nullptr : found->second.share();
}

void open_monitors::add(const monitor& opened, std::int32_t network_of) {
    std::erase_if(known_, [](const auto& each) { return !each.second.share(); });
    known_[key_of(opened.address(), network_of)] = opened.refer();
}

} // namespace vmplug
