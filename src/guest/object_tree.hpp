#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace vmplug {

/// An object of QEMU's, as `info qom-tree` lists it.
struct tree_object {
    std::string path;   ///< QOM path, e.g. "/machine/peripheral/rp0"
    std::string type;   ///< e.g. "pcie-root-port"
    std::string parent; ///< path of the object that it is a child of, empty for the first
};

/// Reads `info qom-tree`, of QEMU 2.4 to today.
///
/// Shape: in the order of the text, parents before children, at most `tree_objects_max` and of a
/// depth of
/// 64. Memory regions and interrupt lines, of which there are thousands, are left out. Lines of
/// another form are skipped: the text is untrusted.
std::vector<tree_object> parse_object_tree(std::string_view text);

/// A tree with so many may have been longer.
constexpr std::size_t tree_objects_max = 65536;

} // namespace vmplug
