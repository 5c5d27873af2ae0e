#include "host/function_paths.hpp"

#include <algorithm>

namespace vmplug {

std::optional<host_address> function_paths::owner_of(std::string_view path) const {
    for (auto end = path.size(); end != 0 && end != path.npos;) {
        const auto slash = path.rfind('/', end - 1);
        const auto begin = slash == path.npos ? 0 : slash + 1;
        const auto part = path.substr(begin, end - begin);
        // "0000:01:00.0" and nothing shorter: the cheap look saves most of the parsing.
        if (part.size() >= 12 && part.find(':') != part.npos)
            if (const auto address = parse_host_address(part); address && known_.contains(*address))
                return *address;
        end = slash;
    }
    return std::nullopt;
}

std::optional<std::string> follow_sysfs_link(const file_tree& files, const std::string& path) {
    auto target = files.read_link(path);
    if (!target || target->starts_with('/')) return target;
    std::string directory = path.substr(0, path.rfind('/'));
    std::string_view rest = *target;
    while (rest.starts_with("../") && !directory.empty()) {
        rest.remove_prefix(3);
        directory.erase(directory.rfind('/'));
    }
    return directory + "/" + std::string(rest);
}

} // namespace vmplug
