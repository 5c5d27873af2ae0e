#include "command/render/device_names.hpp"

#include <array>

extern "C" {
#include <pci/pci.h>
}

namespace vmplug {

void device_names::closer::operator()(pci_access* access) const {
    pci_cleanup(access);
}

namespace {

void ignore(char*, ...) {}

} // namespace

// pci_init is not called: it looks for ways to access the bus and ends the process when there is
// none. The names need only the list of ids, and somewhere to complain to.
device_names::device_names() : access_(pci_alloc()) {
    access_->warning = &ignore;
    access_->debug = &ignore;
}

std::string device_names::name(const pci_function& function) const {
    std::array<char, 256> text{};
    const char* found =
        pci_lookup_name(access_.get(), text.data(), static_cast<int>(text.size()),
                        PCI_LOOKUP_VENDOR | PCI_LOOKUP_DEVICE, function.vendor, function.device);
    return found ? found : "";
}

std::string device_names::class_name(const pci_function& function) const {
    std::array<char, 128> text{};
    const char* found = pci_lookup_name(access_.get(), text.data(), static_cast<int>(text.size()),
                                        PCI_LOOKUP_CLASS, function.class_code >> 8);
    return found ? found : "";
}

} // namespace vmplug
