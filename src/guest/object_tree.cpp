#include "guest/object_tree.hpp"

#include <algorithm>
#include <utility>

namespace vmplug {
namespace {

constexpr std::size_t depth_max = 64;
constexpr std::size_t name_max = 256;

/// What holds no device and no bus.
bool is_left_out(std::string_view type) {
    return type == "irq" || type.ends_with("memory-region");
}

struct listed_object {
    std::size_t indent = 0;
    std::string_view name, type;
};

/// "    /rp0 (pcie-root-port)"; a name may have spaces and brackets, a type has none.
bool read_line(std::string_view line, listed_object& found) {
    found.indent = line.find_first_not_of(' ');
    if (found.indent == line.npos || line[found.indent] != '/' || !line.ends_with(')'))
        return false;
    const auto open = line.rfind(" (");
    if (open == line.npos || open < found.indent + 2) return false;
    found.name = line.substr(found.indent + 1, open - found.indent - 1);
    found.type = line.substr(open + 2, line.size() - open - 3);
    return !found.type.empty() && found.name.size() <= name_max &&
           found.name.find('/') == found.name.npos;
}

} // namespace

std::vector<tree_object> parse_object_tree(std::string_view text) {
    struct level {
        std::size_t indent;
        std::string path;
    };
    std::vector<tree_object> objects;
    std::vector<level> above;
    for (std::size_t begin = 0; begin < text.size() && objects.size() < tree_objects_max;) {
        const auto end = std::min(text.find('\n', begin), text.size());
        auto line = text.substr(begin, end - begin);
        begin = end + 1;
        if (line.ends_with('\r')) line.remove_suffix(1);
        listed_object found;
        if (!read_line(line, found)) continue;
        while (!above.empty() && above.back().indent >= found.indent)
            above.pop_back();
        if (above.size() >= depth_max) continue;
        const auto parent = above.empty() ? std::string() : above.back().path;
        auto path = parent + "/" + std::string(found.name);
        above.push_back({found.indent, path});
        if (!is_left_out(found.type))
            objects.push_back({std::move(path), std::string(found.type), parent});
    }
    return objects;
}

} // namespace vmplug
