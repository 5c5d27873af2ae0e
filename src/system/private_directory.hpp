#pragma once

#include <vmplug/error.hpp>

#include <string>

namespace vmplug {

/// A directory whose files can be believed: it and its files belong to us or to root, and nobody
/// else may write to it. It stays the one that was checked, whatever happens to its path.
///
/// A symbolic link on the way is followed only when it is ours or root's; a file that is one is
/// refused.
class private_directory {
public:
    /// Makes it, mode 0700, with those above it, where it is missing.
    /// Errors: `journal_unavailable` with what is wrong.
    static result<private_directory> create(const std::string& path);

    /// Whether there is anything at `path`, which is then opened.
    static bool exists(const std::string& path);
    static result<private_directory> open(const std::string& path);

    private_directory(private_directory&& from) noexcept;
    private_directory& operator=(private_directory&& from) noexcept;
    ~private_directory();

    int descriptor() const { return descriptor_; }

    /// Its path without links.
    const std::string& path() const { return path_; }

    /// Whether a file in it, if there is one, is a plain file of ours or root's that nobody else
    /// may write to. It is not opened: closing it would give back a database's locks.
    result<void> check_file(const std::string& name) const;

private:
    private_directory(int descriptor, std::string path)
        : descriptor_(descriptor), path_(std::move(path)) {}

    int descriptor_;
    std::string path_;
};

} // namespace vmplug
