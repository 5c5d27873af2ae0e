#pragma once

#include <vmplug/host_facts.hpp>

#include <memory>
#include <string>

struct pci_access;

namespace vmplug {

/// Vendor and device names from the system's pci.ids (libpci).
class device_names {
public:
    device_names();
    std::string name(const pci_function& function) const;
    std::string class_name(const pci_function& function) const;

private:
    struct closer {
        void operator()(pci_access* access) const;
    };
    std::unique_ptr<pci_access, closer> access_;
};

} // namespace vmplug
