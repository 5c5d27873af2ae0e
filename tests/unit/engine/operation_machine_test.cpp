#include "engine/operation_machine.hpp"

#include <vmplug/plan.hpp>

#include <doctest/doctest.h>

#include <set>
#include <string>

using namespace vmplug;

namespace {

/// The smallest world there is: a set of steps that stand. Steps are named "a", "b", "c".
struct world {
    std::set<std::size_t> standing;
    std::vector<std::string> log;
    std::string fail_apply; ///< the step whose apply fails before it acted
    error apply_failure{error_code::command_failed, "", "no", ""};
    result<std::vector<step>> home = std::vector<step>(); ///< what a detach is told
    bool acts_before_failing = false;                     ///< the answer is lost, not the act
    std::string fail_revert;
    bool blind = false; ///< probes see nothing
    bool journal_full = false;
    std::vector<operation_record> saves; ///< what is durable
};

operation_record three_steps(on_failure policy, int forward_from) {
    operation_record record;
    record.failure_policy = policy;
    record.forward_from = forward_from;
    for (const auto* name : {"a", "b", "c"}) {
        step_record step;
        step.planned.kind = name;
        record.steps.push_back(step);
    }
    return record;
}

result<void> apply(world& w, const operation_record& record, std::size_t i) {
    const auto& name = record.steps[i].planned.kind;
    // The promise that all else stands on: the prior state is durable before the act.
    REQUIRE(!w.saves.empty());
    CHECK(w.saves.back().steps[i].state == step_state::begun);
    CHECK(w.saves.back().steps[i].prior_state.at("was") == name);
    w.log.push_back("apply " + name);
    const bool fails = w.fail_apply == name;
    if (!fails || w.acts_before_failing) w.standing.insert(i);
    if (fails) return w.apply_failure;
    return {};
}

result<void> revert(world& w, const operation_record& record, std::size_t i) {
    const auto& name = record.steps[i].planned.kind;
    w.log.push_back("revert " + name);
    if (w.fail_revert == name) return error{error_code::host_stuck, name, "hangs", ""};
    w.standing.erase(i);
    return {};
}

/// Runs the machine to its end, or until `dies_after` actions: a crash.
outcome run(operation_machine& machine, world& w, std::size_t dies_after = 1000) {
    for (std::size_t n = 0; n < dies_after; ++n) {
        const auto now = machine.next();
        const auto i = now.step;
        switch (now.kind) {
        case action_kind::observe:
            machine.observed(fields{{"was", machine.record().steps[i].planned.kind}});
            break;
        case action_kind::save:
            if (w.journal_full) {
                machine.saved(error{error_code::journal_unavailable, "", "full", ""});
            } else {
                w.saves.push_back(machine.record());
                machine.saved({});
            }
            break;
        case action_kind::apply:
            machine.applied(apply(w, machine.record(), i));
            break;
        case action_kind::probe:
            if (w.blind)
                machine.probed(error{error_code::timed_out, "", "no answer", ""});
            else
                machine.probed(w.standing.contains(i) ? presence::applied : presence::absent);
            break;
        case action_kind::revert:
            machine.reverted(revert(w, machine.record(), i));
            break;
        case action_kind::revise:
            w.log.push_back("revise");
            machine.revised(w.home);
            break;
        case action_kind::finish:
            return machine.verdict();
        }
    }
    return outcome::unknown;
}

} // namespace

TEST_CASE("steps are applied in order and the end is durable") {
    world w;
    operation_machine machine(three_steps(on_failure::roll_back, 1));
    CHECK(run(machine, w) == outcome::done);
    CHECK(w.log == std::vector<std::string>{"apply a", "apply b", "apply c"});
    CHECK(w.saves.back().state == operation_state::closed);
    CHECK(w.saves.size() == 4); // one commit for each step, one for the end
}

TEST_CASE("a failed step is undone with all before it, backwards") {
    world w;
    w.fail_apply = "c";
    operation_machine machine(three_steps(on_failure::roll_back, 1));
    CHECK(run(machine, w) == outcome::rolled_back);
    CHECK(w.standing.empty());
    CHECK(w.log ==
          std::vector<std::string>{"apply a", "apply b", "apply c", "revert b", "revert a"});
    CHECK(machine.record().failure->code == error_code::command_failed);
}

TEST_CASE("a step that failed half-way is undone too") {
    world w;
    w.fail_apply = "b";
    w.acts_before_failing = true;
    operation_machine machine(three_steps(on_failure::roll_back, 1));
    CHECK(run(machine, w) == outcome::rolled_back);
    CHECK(w.standing.empty());
}

TEST_CASE("a lost answer is a success when the step stands") {
    world w;
    w.fail_apply = "b";
    w.apply_failure.code = error_code::connection_lost;
    w.acts_before_failing = true;
    operation_machine machine(three_steps(on_failure::roll_back, 1));
    CHECK(run(machine, w) == outcome::done);
    CHECK(w.standing.size() == 3);
}

TEST_CASE("nothing is undone while the outcome is unknown") {
    world w;
    w.fail_apply = "b";
    w.apply_failure.code = error_code::timed_out;
    w.blind = true;
    operation_machine machine(three_steps(on_failure::roll_back, 1));
    CHECK(run(machine, w) == outcome::unknown);
    CHECK(w.log == std::vector<std::string>{"apply a", "apply b"});
    CHECK(machine.record().state != operation_state::closed);

    w.blind = false;
    auto later = operation_machine::resume(w.saves.back());
    CHECK(run(later, w) == outcome::rolled_back);
    CHECK(w.standing.empty());
}

TEST_CASE("an undo that fails leaves the operation open for recover") {
    world w;
    w.fail_apply = "c";
    w.fail_revert = "b";
    operation_machine machine(three_steps(on_failure::roll_back, 1));
    CHECK(run(machine, w) == outcome::stuck);
    CHECK(w.standing == std::set<std::size_t>{0, 1});

    w.fail_revert.clear();
    auto later = operation_machine::resume(w.saves.back());
    CHECK(run(later, w) == outcome::rolled_back);
    CHECK(w.standing.empty());
}

TEST_CASE("an operation that holds keeps what it did and goes on later") {
    world w;
    w.fail_apply = "b";
    w.apply_failure.code = error_code::unplug_pending;
    operation_machine machine(three_steps(on_failure::hold, -1));
    CHECK(run(machine, w) == outcome::unplug_pending);
    CHECK(w.standing == std::set<std::size_t>{0});

    w.fail_apply.clear();
    auto later = operation_machine::resume(w.saves.back());
    CHECK(run(later, w) == outcome::done);
    CHECK(w.standing.size() == 3);
}

TEST_CASE("a first step that fails on nothing is not held open") {
    world w;
    w.fail_apply = "a";
    operation_machine machine(three_steps(on_failure::hold, -1));
    CHECK(run(machine, w) == outcome::rolled_back);
    CHECK(machine.record().state == operation_state::closed);
}

TEST_CASE("without a journal nothing is begun") {
    world w;
    w.journal_full = true;
    operation_machine machine(three_steps(on_failure::roll_back, 1));
    CHECK(run(machine, w) == outcome::refused);
    CHECK(w.log.empty());
}

TEST_CASE("a crash after any action is settled: back before step b stands, forward after") {
    for (std::size_t dies_after = 0; dies_after < 14; ++dies_after) {
        CAPTURE(dies_after);
        world w;
        operation_machine machine(three_steps(on_failure::roll_back, 1));
        run(machine, w, dies_after);
        if (w.saves.empty()) {
            CHECK(w.standing.empty());
            continue;
        }
        if (w.saves.back().state == operation_state::closed) continue;
        const bool committed = w.standing.contains(1);
        auto later = operation_machine::resume(w.saves.back());
        CHECK(run(later, w) == (committed ? outcome::done : outcome::rolled_back));
        CHECK(w.standing.size() == (committed ? 3 : 0));
    }
}

TEST_CASE("a write that hangs in the kernel is stuck, although nothing can be seen of it") {
    operation_record record;
    record.steps.resize(1);
    operation_machine machine(record);
    machine.observed(fields{});
    machine.saved(result<void>{});
    machine.applied(error{error_code::host_stuck, "unbind", "no answer", {}});
    CHECK(machine.next().kind == action_kind::probe);
    const error hangs_too{error_code::host_stuck, "driver_override", "no answer", {}};
    machine.probed(hangs_too);
    machine.saved(result<void>{});
    CHECK(machine.next().kind == action_kind::finish);
    CHECK(machine.verdict() == outcome::stuck);
    CHECK(machine.record().state == operation_state::applying);

    auto later = operation_machine::resume(machine.record());
    CHECK(later.next().kind == action_kind::probe);
    later.probed(hangs_too);
    later.saved(result<void>{});
    CHECK(later.verdict() == outcome::stuck);
    CHECK(later.record().state == operation_state::applying);
}

namespace {

operation_record detach_of(std::vector<std::string> steps) {
    operation_record record;
    record.kind = operation_kind::detach;
    record.failure_policy = on_failure::hold;
    for (auto& each : steps)
        record.steps.emplace_back().planned.kind = std::move(each);
    return record;
}

} // namespace

TEST_CASE("the way home of a detach is planned when the guest has let go") {
    world w;
    w.home = std::vector<step>{{"c", {}}};
    operation_machine machine(detach_of({"a", "b"}));
    CHECK(run(machine, w) == outcome::done);
    CHECK(w.log == std::vector<std::string>{"apply a", "revise", "apply c"});
}

TEST_CASE("a way home that has become longer is gone to its end") {
    world w;
    w.home = std::vector<step>{{"b", {}}};
    operation_machine machine(detach_of({"a"}));
    CHECK(run(machine, w) == outcome::done);
    CHECK(w.log == std::vector<std::string>{"apply a", "revise", "apply b"});
}

TEST_CASE("a resumed way home is planned again, but for what is done or half done") {
    world w;
    auto record = detach_of({"a", "b", "c", step_kind::set_memlock});
    record.state = operation_state::applying;
    record.steps[0].state = record.steps[1].state = step_state::applied;
    record.steps[3].state = step_state::begun;
    record.steps[3].prior_state = {{"was", step_kind::set_memlock}};
    w.home = std::vector<step>{{"b", {}}, {"d", {}}};
    auto machine = operation_machine::resume(record);
    CHECK(run(machine, w) == outcome::done);
    CHECK(w.log == std::vector<std::string>{"revise", "apply d"});
    CHECK(machine.record().steps.size() == 3);
}

TEST_CASE("a way home that cannot be planned is left open") {
    world w;
    w.home = error{error_code::timed_out, "", "no answer", ""};
    operation_machine machine(detach_of({"a", "b"}));
    CHECK(run(machine, w) == outcome::unknown);
    CHECK(w.log == std::vector<std::string>{"apply a", "revise"});
    CHECK(w.saves.back().state != operation_state::closed);
}

TEST_CASE("what cannot be read of others is no damage of its own") {
    world w;
    w.home = error{error_code::journal_corrupt, "", "another record is damaged", ""};
    operation_machine machine(detach_of({"a", "b"}));
    CHECK(run(machine, w) == outcome::unknown);
    REQUIRE(machine.record().failure);
    CHECK(machine.record().failure->code == error_code::journal_unavailable);
}

TEST_CASE("what others have taken over is not reverted") {
    world w;
    w.fail_apply = "b";
    auto record = three_steps(on_failure::roll_back, 2);
    operation_machine machine(std::move(record));
    while (machine.next().kind != action_kind::revert) {
        CHECK(run(machine, w, 1) == outcome::unknown);
    }
    machine.handed_over();
    CHECK(run(machine, w) == outcome::rolled_back);
    CHECK(w.log == std::vector<std::string>{"apply a", "apply b"});
}
