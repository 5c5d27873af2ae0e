#pragma once

#include <chrono>
#include <string>

namespace vmplug {

/// What belongs to a `controller` for as long as it lives.
struct controller_options {
    std::string state_directory = "/var/lib/vmplug";
    std::string invoked_as; ///< for the journal and for whoever is refused: our command line
    std::chrono::milliseconds greeting_deadline{2'000}; ///< of a monitor, for all but operations

    /// Nothing goes on beside the one thing that is asked, so that a look may wait for the kernel
    /// and the disk where it is asked for. Otherwise looks are taken on threads of their own.
    bool one_command = false;
};

} // namespace vmplug
