#include "system/file_owner.hpp"

#include <algorithm>
#include <cstdlib>
#include <memory>

#include <sys/stat.h>

namespace vmplug {

bool others_may_replace(const std::string& path, std::span<const std::uint32_t> trusted) {
    const std::unique_ptr<char, decltype(&std::free)> real(::realpath(path.c_str(), nullptr),
                                                           &std::free);
    if (!real) return true;
    std::string directory(real.get());
    while (directory.size() > 1) {
        directory.resize(std::max<std::size_t>(directory.rfind('/'), 1));
        struct stat found {};
        if (::stat(directory.c_str(), &found) != 0) return true;
        const bool known = std::ranges::find(trusted, found.st_uid) != trusted.end();
        if (!known || (found.st_mode & (S_IWGRP | S_IWOTH)) != 0) return true;
    }
    return false;
}

} // namespace vmplug
