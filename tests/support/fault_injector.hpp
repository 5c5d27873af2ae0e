#pragma once

#include <vmplug/error.hpp>

#include <functional>
#include <string>
#include <vector>

namespace vmplug::testing {

/// The process ends here: thrown through the operation, which is then abandoned.
struct process_death {};

enum class fault {
    none,
    fails,         ///< refused, without an effect
    fails_late,    ///< refused, although it had its effect
    answer_lost,   ///< it had its effect, and no answer came
    never_arrived, ///< no effect, and no answer came
    dies_before,
    dies_after,
    late, ///< no answer came, and the effect comes when nobody waits for it any more
};

inline constexpr fault all_faults[] = {fault::fails,         fault::fails_late,  fault::answer_lost,
                                       fault::never_arrived, fault::dies_before, fault::dies_after};

/// Counts the acts on the fake world and lets one of them, or two, go wrong.
class fault_injector {
public:
    void plan_fault(int at, fault what) { planned_.push_back({count_ + at, what}); }
    void clear() { planned_.clear(); }
    int count() const { return count_; }
    /// Those that were no mere looks.
    int changes() const { return count_ - looks_; }

    /// Does `effect`, or what was planned for this act. `late_effect` sees to it that it comes
    /// later, whoever is still there.
    result<void> act(const std::string& where, error_code lost,
                     const std::function<result<void>()>& effect,
                     const std::function<void()>& late_effect = {}) {
        auto what = take();
        if (what == fault::late) {
            if (late_effect) late_effect();
            what = fault::never_arrived;
        }
        if (what == fault::dies_before) throw process_death{};
        if (what == fault::fails) return error{error_code::command_failed, where, "it fails", {}};
        if (what == fault::never_arrived) return error{lost, where, "no answer", {}};
        auto done = effect();
        if (what == fault::dies_after) throw process_death{};
        if (what == fault::fails_late)
            return error{error_code::command_failed, where, "it fails late", {}};
        if (what == fault::answer_lost) return error{lost, where, "the answer was lost", {}};
        return done;
    }

    /// The same for a look, whose answer can only be lost.
    bool loses_answer() {
        ++looks_;
        const auto what = take();
        if (what == fault::dies_before || what == fault::dies_after) throw process_death{};
        return what != fault::none && what != fault::late;
    }

    /// The same for a save to the journal, which is whole or not at all.
    result<void> save(const std::function<result<void>()>& effect) {
        const auto what = take();
        if (what == fault::dies_before) throw process_death{};
        if (what != fault::none && what != fault::dies_after)
            return error{error_code::journal_unavailable, "journal.db", "it fails", {}};
        auto done = effect();
        if (what == fault::dies_after) throw process_death{};
        return done;
    }

private:
    fault take() {
        const int now = count_++;
        for (const auto& each : planned_)
            if (each.at == now) return each.what;
        return fault::none;
    }

    struct planned {
        int at;
        fault what;
    };
    std::vector<planned> planned_;
    int count_ = 0;
    int looks_ = 0;
};

} // namespace vmplug::testing
