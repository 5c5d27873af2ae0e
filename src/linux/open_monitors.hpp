#pragma once

#include <vmplug/monitor.hpp>

#include <cstdint>
#include <map>
#include <memory>
#include <string>
#include <utility>

namespace vmplug {

/// The QMP connections that this process has open, for whoever needs one next: QEMU serves one
/// client at a time. It keeps none of them open.
class open_monitors {
public:
    /// The connection to that address ("qmp:/run/web.qmp"), nullptr when there is none. What is at
    /// its other end is for the caller to prove: an address may have been another guest's.
    /// `network_of`: as of `monitor_options`; the same address there is another one here.
    std::unique_ptr<monitor> share(const std::string& address, std::int32_t network_of) const;

    void add(const monitor& opened, std::int32_t network_of);

private:
    using key = std::pair<std::string, std::int32_t>;
    static key key_of(const std::string& address, std::int32_t network_of);

    std::map<key, monitor::reference> known_;
};

} // namespace vmplug
