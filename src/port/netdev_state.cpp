#include "port/netdev_state.hpp"

namespace vmplug {

std::string network_namespace::name() const {
    if (path.empty()) return "of process " + std::to_string(process.pid);
    return path.substr(path.rfind('/') + 1);
}

std::string network_namespace::file() const {
    return path.empty() ? "/proc/" + std::to_string(process.pid) + "/ns/net" : path;
}

} // namespace vmplug
