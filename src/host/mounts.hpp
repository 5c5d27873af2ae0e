#pragma once

#include "system/file_tree.hpp"

#include <string>
#include <vector>

namespace vmplug {

/// A line of mountinfo.
struct mount_entry {
    std::string number; ///< "259:1"; "0:42" of a file system that has no device of its own
    std::string root;   ///< what of it is mounted; of nsfs the namespace, e.g. "net:[4026532281]"
    std::string point;
    std::string type;
    std::string source; ///< e.g. "/dev/nvme0n1p1"
};

/// What a process's mount namespace has, e.g. of "/proc/self/mountinfo". Errors: `host_io`.
result<std::vector<mount_entry>> read_mounts(const file_tree& files, const std::string& path);

} // namespace vmplug
