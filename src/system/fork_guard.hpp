#pragma once

#include <mutex>

namespace vmplug {

/// Held from a fork until the child has let go of our descriptors, and while a lock is given back:
/// else a child that another thread begins just then has a copy of it, and for a moment somebody
/// who has ended seems to hold it.
std::mutex& fork_guard();

} // namespace vmplug
