#pragma once

#include "engine/world.hpp"
#include "journal/journal_store.hpp"
#include "linux/linux_host_control.hpp"
#include "linux/linux_host_reader.hpp"
#include "linux/process_guests.hpp"
#include "system/file_leases.hpp"
#include "system/machine_clock.hpp"

#include <vmplug/controller_options.hpp>

namespace vmplug {

/// This host, its QEMUs and a state directory.
class linux_world {
public:
    explicit linux_world(const controller_options& options);

    linux_world(const linux_world&) = delete;
    linux_world& operator=(const linux_world&) = delete;

    /// As operations see it.
    world& ports() { return ports_; }

    const file_tree& files() const { return files_; }

    /// The same guests as the port has.
    process_guests& processes() { return vms_; }

private:
    file_tree files_;
    linux_host_reader reader_;
    linux_host_control host_;
    open_monitors open_;
    process_guests vms_;
    journal_store store_;
    process_identity self_;
    file_leases leases_;
    machine_clock time_;
    world ports_;
};

} // namespace vmplug
