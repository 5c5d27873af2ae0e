#pragma once

#include <cstdint>
#include <span>
#include <string>

namespace vmplug {

/// Whether anybody but the `trusted` users could put another file in the place of this one: a
/// directory on the way to it belongs to somebody else, or can be written to by a group or by all.
/// True as well when that cannot be seen. A sticky directory is no help: who comes first owns the
/// name.
bool others_may_replace(const std::string& path, std::span<const std::uint32_t> trusted);

} // namespace vmplug
