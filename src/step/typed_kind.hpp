#pragma once

#include "step/step_kind.hpp"

#include <utility>

namespace vmplug {

/// What was before a step that changes nothing that could be put back.
struct nothing_before {
    fields format() const { return {}; }
    static result<nothing_before> parse(const fields&) { return nothing_before(); }
};

/// What a kind does not say itself: that of a step that leaves nothing to undo. It finds no prior
/// state, never stands, and its revert does nothing.
template <class Arguments, class Prior = nothing_before>
struct kind_defaults {
    using arguments = Arguments;
    using prior = Prior;
    template <class T>
    using task = boost::asio::awaitable<result<T>>;

    static constexpr shared_by sharers = shared_by::nobody;

    static bool is_earlier(const Prior&, const Prior&) { return false; }
    static std::optional<step> inverse(const Arguments&, const Prior&) { return std::nullopt; }
    static std::vector<std::string> manual_undo(const Arguments&, const Prior&, const fields&) {
        return {};
    }
    static std::vector<std::string> manual_finish(const Arguments&, const fields&) { return {}; }
    static task<Prior> observe(step_context&, const Arguments&) { co_return Prior(); }
    static task<presence> probe(step_context&, const Arguments&, const Prior&) {
        co_return presence::absent;
    }
    static task<void> revert(step_context&, const Arguments&, const Prior&) {
        co_return result<void>();
    }
};

/// A kind as the engine has it: its fields are parsed into values, all of them, before anything
/// that it does sees one.
///
/// `Kind` says what it is told and what it finds before it acts (`arguments` and `prior`, each with
/// `parse`, the one with `to_step` and the other with `format`), and does the rest with those.
template <class Kind>
class typed_kind final : public step_kind_handler {
    using arguments = typename Kind::arguments;
    using prior = typename Kind::prior;

public:
    std::string_view name() const override { return arguments::kind; }
    shared_by sharers() const override { return Kind::sharers; }

    std::string describe(const fields& told) const override {
        const auto parsed = arguments::parse(told);
        return parsed.has_value() ? Kind::describe(*parsed) : std::string(name());
    }

    result<void> check(const fields& told, const fields& before) const override {
        if (const auto parsed = arguments::parse(told); parsed.has_error()) return parsed.error();
        const auto parsed = prior::parse(before);
        return parsed.has_error() ? result<void>(parsed.error()) : result<void>();
    }

    std::optional<step> inverse(const fields& told, const fields& before) const override {
        const auto [parsed, was] = parse(told, before);
        if (parsed.has_error() || was.has_error()) return std::nullopt;
        return Kind::inverse(*parsed, *was);
    }

    bool is_earlier(const fields& given, const fields& own) const override {
        const auto theirs = prior::parse(given);
        const auto ours = prior::parse(own);
        return theirs.has_value() && ours.has_value() && Kind::is_earlier(*theirs, *ours);
    }

    std::vector<std::string> manual_undo(const fields& told, const fields& before,
                                         const fields& subject) const override {
        const auto [parsed, was] = parse(told, before);
        if (parsed.has_error() || was.has_error()) return {};
        return Kind::manual_undo(*parsed, *was, subject);
    }

    std::vector<std::string> manual_finish(const fields& told,
                                           const fields& subject) const override {
        const auto parsed = arguments::parse(told);
        if (parsed.has_error()) return {};
        return Kind::manual_finish(*parsed, subject);
    }

    task<fields> observe(step_context& context, const fields& told) const override {
        const auto parsed = arguments::parse(told);
        if (parsed.has_error()) co_return parsed.error();
        auto found = co_await Kind::observe(context, *parsed);
        if (found.has_error()) co_return found.error();
        co_return found->format();
    }

    task<fields> apply(step_context& context, const fields& told,
                       const fields& before) const override {
        const auto parsed = arguments::parse(told);
        const auto was = prior::parse(before);
        if (parsed.has_error()) co_return parsed.error();
        if (was.has_error()) co_return was.error();
        co_return co_await Kind::apply(context, *parsed, *was);
    }

    task<presence> probe(step_context& context, const fields& told,
                         const fields& before) const override {
        const auto parsed = arguments::parse(told);
        const auto was = prior::parse(before);
        if (parsed.has_error()) co_return parsed.error();
        if (was.has_error()) co_return was.error();
        co_return co_await Kind::probe(context, *parsed, *was);
    }

    task<void> revert(step_context& context, const fields& told,
                      const fields& before) const override {
        const auto parsed = arguments::parse(told);
        const auto was = prior::parse(before);
        if (parsed.has_error()) co_return parsed.error();
        if (was.has_error()) co_return was.error();
        co_return co_await Kind::revert(context, *parsed, *was);
    }

private:
    static std::pair<result<arguments>, result<prior>> parse(const fields& told,
                                                             const fields& before) {
        return {arguments::parse(told), prior::parse(before)};
    }
};

} // namespace vmplug
