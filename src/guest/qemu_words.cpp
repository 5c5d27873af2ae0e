#include "guest/qemu_words.hpp"

#include <array>
#include <string_view>

namespace vmplug {
namespace {

struct known_words {
    std::string_view words;
    error_code code;
    std::string_view remedy; ///< empty: the catalogue's
};

constexpr std::string_view shared_interrupt =
    "The device shares its interrupt line with another one and has no MSI: use another slot, or, "
    "if "
    "the host can do without the other device, `vmplug bind` that; `vmplug check DEVICE` names the "
    "others.";
constexpr std::string_view see_qemus_own_log =
    "QEMU keeps the reason to its own stderr or log. With pci-assign it is most often the missing "
    "IOMMU, a device that is not on pci-stub, or a shared interrupt line; `vmplug check DEVICE` "
    "tells.";

// The first that is found counts: what says more comes before what says less.
constexpr std::array known{
    known_words{"No IOMMU found", error_code::no_iommu, {}},
    known_words{"no iommu_group found", error_code::no_iommu, {}},
    known_words{"shares an IRQ", error_code::interrupt_shared, shared_interrupt},
    known_words{"Failed to assign irq", error_code::interrupt_shared, shared_interrupt},
    known_words{"is not viable", error_code::group_not_viable, {}},
    known_words{"already attached", error_code::device_assigned, {}},
    known_words{"is already in use", error_code::device_assigned, {}},
    known_words{"Device or resource busy", error_code::device_assigned,
                "Another process uses the device, its group, or its interrupt line; `vmplug check "
                "DEVICE` tells which."},
    known_words{"Cannot allocate memory", error_code::memlock_too_low, {}},
    known_words{"Duplicate ", error_code::duplicate_id, {}},
    known_words{"is not a valid device model name", error_code::model_unavailable, {}},
    known_words{"Parameter 'driver' expects", error_code::model_unavailable, {}},
    known_words{"Device \"pci-assign\" not found", error_code::model_unavailable, {}},
    known_words{"Property '", error_code::property_unknown, {}},
    known_words{"does not support hotplugging", error_code::port_unusable, {}},
    known_words{"Bus '", error_code::port_unusable, {}},
    known_words{"could not be initialized", error_code::command_failed, see_qemus_own_log},
    known_words{"Device initialization failed", error_code::command_failed, see_qemus_own_log},
};

} // namespace

error recognise_refusal(error failure) {
    if (failure.code != error_code::command_failed) return failure;
    for (const auto& each : known) {
        if (failure.text.find(each.words) == std::string::npos) continue;
        failure.code = each.code;
        if (failure.remedy.empty()) failure.remedy = each.remedy;
        return failure;
    }
    return failure;
}

} // namespace vmplug
