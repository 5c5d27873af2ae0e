#pragma once

#include <vmplug/guest_facts.hpp>

#include <span>
#include <string>
#include <string_view>

namespace vmplug {

/// The lines that an `hmp_survey` wants answered, in this order.
std::span<const char* const> hmp_survey_lines();

/// Collects `guest_facts` from the output of a human monitor, without I/O: for QEMUs whose QMP
/// cannot tell, and for monitors that have nothing else.
///
/// What QEMU does not know is missing in the facts; `ram_bytes` is 0 before QEMU 2.11. The devices
/// are those that a user added (with an id), and those on a port without one.
class hmp_survey {
public:
    explicit hmp_survey(std::string version) { facts_.version = std::move(version); }

    /// `output` is that of the line of the same number; empty when it failed.
    void answer(std::size_t number, std::string_view output);

    guest_facts facts() const;

private:
    guest_facts facts_;
    bool knows_models_ = false;
};

} // namespace vmplug
