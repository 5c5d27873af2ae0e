#pragma once

#include "port/clock.hpp"
#include "port/guests.hpp"
#include "port/host_control.hpp"
#include "port/host_reader.hpp"
#include "port/leases.hpp"
#include "port/records.hpp"

namespace vmplug {

/// All that operations touch and are told: the real one (`linux_world`), or a simulated one.
///
/// Lifetime: each has to live longer than the operations that were begun on it.
struct world {
    host_reader& reader;
    host_control& host;
    guests& vms;
    record_store& store;
    lease_table& leases;
    clock& time;
    process_identity self; ///< who runs the operations, for the records
};

} // namespace vmplug
