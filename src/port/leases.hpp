#pragma once

#include <vmplug/error.hpp>

#include <memory>
#include <string>

namespace vmplug {

/// What an operation has for itself: given back when this goes.
class lease {
public:
    virtual ~lease() = default;

    /// Whoever has it has the lease as well; -1: it has none.
    virtual int descriptor() const { return -1; }
};

/// Who has a name that somebody wants.
struct lease_holder {
    std::string who; ///< for a person
    /// Its process has ended, but the kernel is still at what it was asked for.
    bool in_kernel = false;
};

/// Names that one operation at a time has for itself, across processes. A lease of a process that
/// has ended, however it ended, is nobody's, unless the kernel is still at what it was asked for.
class lease_table {
public:
    virtual ~lease_table() = default;

    /// Takes the name, without waiting. Returns nothing when somebody else has it; `other` then
    /// says who. Errors: `journal_unavailable`.
    virtual result<std::unique_ptr<lease>> try_take(const std::string& name,
                                                    lease_holder& other) = 0;

    /// Who has the name, without taking it; empty: nobody.
    virtual std::string find_holder(const std::string& name) const = 0;
};

} // namespace vmplug
