#pragma once

#include "engine/guest_actor.hpp"
#include "engine/pending_numbers.hpp"
#include "engine/world.hpp"

namespace vmplug {

/// What the operations of one process share. It serves one command as well as a process that stays.
///
/// Lifetime: has to outlive the operations that were begun on it; the world has to outlive it.
struct engine {
    explicit engine(world& given) : at(given), guests(given) {}

    world& at;
    guest_actors guests;
    pending_numbers pending;
};

} // namespace vmplug
