#include <vmplug/finding.hpp>

namespace vmplug {

error to_error(const finding& refused) {
    return {refused.code,   refused.where,   refused.evidence,
            refused.remedy, refused.advised, refused.about};
}

std::vector<error> refusals_of(const std::vector<finding>& findings, bool force) {
    std::vector<error> refusals;
    for (const auto& each : findings)
        if (each.says == verdict::refused && !(force && each.may_be_forced))
            refusals.push_back(to_error(each));
    return refusals;
}

std::vector<std::string> notes_of(const std::vector<finding>& findings, bool force) {
    std::vector<std::string> notes;
    for (const auto& each : findings) {
        if (each.says == verdict::warning) notes.push_back(each.evidence);
        if (each.says == verdict::refused && force && each.may_be_forced)
            notes.push_back("forced: " + each.evidence);
    }
    return notes;
}

} // namespace vmplug
