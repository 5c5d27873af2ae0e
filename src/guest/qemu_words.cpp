#include "guest/qemu_words.hpp"

#include <array>
#include <string_view>

namespace vmplug {
namespace {

struct known_words {
    std::string_view words;
    error_code code;
    advice advised = advice::none;
};

// The first that is found counts: what says more comes before what says less.
constexpr std::array known{
    known_words{"No IOMMU found", error_code::no_iommu},
    known_words{"no iommu_group found", error_code::no_iommu},
    known_words{"shares an IRQ", error_code::interrupt_shared, advice::free_interrupt_line},
    known_words{"Failed to assign irq", error_code::interrupt_shared, advice::free_interrupt_line},
    known_words{"is not viable", error_code::group_not_viable},
    known_words{"already attached", error_code::device_assigned},
    known_words{"is already in use", error_code::device_assigned},
    known_words{"Device or resource busy", error_code::device_assigned, advice::find_user},
    known_words{"Cannot allocate memory", error_code::memlock_too_low},
    known_words{"Duplicate ", error_code::duplicate_id},
    known_words{"is not a valid device model name", error_code::model_unavailable},
    known_words{"Parameter 'driver' expects", error_code::model_unavailable},
    known_words{"Device \"pci-assign\" not found", error_code::model_unavailable},
    known_words{"Property '", error_code::property_unknown},
    known_words{"does not support hotplugging", error_code::port_unusable},
    known_words{"Bus '", error_code::port_unusable},
    known_words{"could not be initialized", error_code::command_failed, advice::read_log_of_qemu},
    known_words{"Device initialization failed", error_code::command_failed,
                advice::read_log_of_qemu},
};

} // namespace

error recognise_refusal(error failure) {
    if (failure.code != error_code::command_failed) return failure;
    for (const auto& each : known) {
        if (failure.text.find(each.words) == std::string::npos) continue;
        failure.code = each.code;
        if (failure.remedy.empty()) failure.advised = each.advised;
        return failure;
    }
    return failure;
}

} // namespace vmplug
