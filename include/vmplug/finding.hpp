#pragma once

#include <vmplug/error.hpp>

#include <string>
#include <vector>

namespace vmplug {

/// What a finding says to what was asked.
enum class verdict {
    ok,      ///< looked at, and in order
    warning, ///< it can be done; a person should know
    refused, ///< it must not be done as it was asked
};

/// One thing that was looked at, with what was seen. `attach`, `bind`, `check` and `devices` all
/// show the same findings.
///
/// Shape: `check` is its row in a check, e.g. "IOMMU group"; `where` a sysfs path, an address or an
/// option; `evidence` one sentence that says what was seen, without an advice; `remedy`, `advised`
/// and `about` as those of an error. `code` has a meaning when it is refused, or `advised` is
/// `of_code`. All text may hold bytes from outside: escape it before it reaches a terminal.
struct finding {
    std::string check;
    verdict says = verdict::ok;
    error_code code = error_code::internal;
    std::string where;
    std::string evidence;
    std::string remedy;
    /// A person may go on all the same (`force`): the host would lose something, or it could not be
    /// told whether it would. False: it cannot work.
    bool may_be_forced = false;
    advice advised = advice::none;
    request_field about = request_field::none;
};

/// A refused finding as an error: its code, where, evidence and remedy.
error to_error(const finding& refused);

/// Those that stand in the way: refused, and not forced where that is allowed.
std::vector<error> refusals_of(const std::vector<finding>& findings, bool force);

/// What a person should know although it is done: warnings, and what was forced.
std::vector<std::string> notes_of(const std::vector<finding>& findings, bool force);

} // namespace vmplug
