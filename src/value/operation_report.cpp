#include <vmplug/operation_report.hpp>

namespace vmplug {

std::optional<outcome> operation_report::ended() const {
    if (std::holds_alternative<refused_operation>(*this)) return outcome::refused;
    if (const auto* settled = std::get_if<settled_operation>(this)) return settled->record.ended;
    const auto* left = std::get_if<left_operation>(this);
    if (left && left->in_kernel) return outcome::stuck;
    return std::nullopt;
}

std::vector<error> operation_report::refusals() const {
    if (const auto* refused = std::get_if<refused_operation>(this)) return refused->reasons;
    if (const auto* left = std::get_if<left_operation>(this)) return {left->reason};
    return {};
}

const operation_record& operation_report::record() const {
    static const operation_record none;
    if (const auto* refused = std::get_if<refused_operation>(this)) return refused->disbelieved;
    if (const auto* settled = std::get_if<settled_operation>(this)) return settled->record;
    if (const auto* left = std::get_if<left_operation>(this)) return left->record;
    if (const auto* seen = std::get_if<previewed_operation>(this)) return seen->record;
    return none;
}

bool operation_report::is_repeated() const {
    if (const auto* settled = std::get_if<settled_operation>(this)) return settled->repeated;
    if (const auto* left = std::get_if<left_operation>(this)) return left->repeated;
    if (const auto* refused = std::get_if<refused_operation>(this)) return refused->repeated;
    const auto* seen = std::get_if<previewed_operation>(this);
    return seen && seen->repeated;
}

operation_report operation_report::repeated() && {
    if (auto* refused = std::get_if<refused_operation>(this)) refused->repeated = true;
    if (auto* settled = std::get_if<settled_operation>(this)) settled->repeated = true;
    if (auto* left = std::get_if<left_operation>(this)) left->repeated = true;
    if (auto* seen = std::get_if<previewed_operation>(this)) seen->repeated = true;
    return std::move(*this);
}

} // namespace vmplug
