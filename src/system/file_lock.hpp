#pragma once

#include <vmplug/error.hpp>

#include <optional>
#include <string>

namespace vmplug {

/// An exclusive lock on a name, across processes. The kernel takes it back when its process ends,
/// however it ends, so there is no stale lock; a child that still hangs in a write for it keeps it
/// until it is through.
///
/// The file stays when the lock is gone: removing it would let two processes lock two files of one
/// name.
class file_lock {
public:
    /// `holder` ("process PID ...") is written into the file for whoever is refused.
    /// Returns nothing when another process has the lock; `other` then says which, never nothing,
    /// and `ended` whether that process has ended and left the lock to a child.
    /// Errors: `journal_unavailable`, also for a directory or a file that is not ours or root's.
    static result<std::optional<file_lock>> try_lock(const std::string& directory,
                                                     const std::string& name,
                                                     const std::string& holder, std::string& other,
                                                     bool* ended = nullptr);

    /// Who has the lock of a name, without a lock of our own: a look does not get in the way.
    /// Empty: nobody has it, as far as the kernel tells (/proc/locks).
    static std::string find_holder(const std::string& directory, const std::string& name);

    /// A child that keeps it has the lock as well, until it ends.
    int descriptor() const { return descriptor_; }

    file_lock(file_lock&& from) noexcept;
    file_lock& operator=(file_lock&& from) noexcept;
    ~file_lock();

private:
    explicit file_lock(int descriptor) : descriptor_(descriptor) {}
    int descriptor_;
    bool held_ = false; ///< it is among the held ones
};

} // namespace vmplug
