#include "step/set_memlock.hpp"

#include "step/field_check.hpp"
#include "step/steps.hpp"
#include "step/typed_kind.hpp"

#include <algorithm>

namespace vmplug {

using boost::asio::awaitable;
using memlock = host_control::memlock;

namespace {

void put_limits(const memlock& limits, fields& values) {
    values["soft_bytes"] = std::to_string(limits.soft_bytes);
    values["hard_bytes"] = std::to_string(limits.hard_bytes);
}

/// Nothing: the record says nothing of them.
result<std::optional<memlock>> parse_limits(const fields& values) {
    if (field(values, "soft_bytes").empty() && field(values, "hard_bytes").empty())
        return std::optional<memlock>();
    const auto fine =
        field_check(values).has("soft_bytes", is_unsigned).has("hard_bytes", is_unsigned).verdict();
    if (fine.has_error()) return fine.error();
    return std::optional(memlock{number_field<std::uint64_t>(values, "soft_bytes"),
                                 number_field<std::uint64_t>(values, "hard_bytes")});
}

/// The limits before; nothing: the process had ended.
struct memlock_before {
    std::optional<memlock> limits;

    fields format() const {
        fields values;
        if (limits) put_limits(*limits, values);
        return values;
    }
    static result<memlock_before> parse(const fields& values) {
        auto limits = parse_limits(values);
        if (limits.has_error()) return limits.error();
        return memlock_before{*limits};
    }
};

} // namespace

step set_memlock_arguments::to_step() const {
    fields values{{"pid", std::to_string(process.pid)},
                  {"start_time", std::to_string(process.start_time)},
                  {"boot_id", process.boot_id}};
    if (exactly)
        put_limits(*exactly, values);
    else
        values["size_bytes"] = std::to_string(size_bytes);
    return {kind, std::move(values)};
}

result<set_memlock_arguments> set_memlock_arguments::parse(const fields& values) {
    const auto fine = field_check(values)
                          .has("pid", is_pid)
                          .has("start_time", is_unsigned)
                          .may_have("boot_id", is_boot_id)
                          .may_have("size_bytes", is_unsigned)
                          .verdict();
    if (fine.has_error()) return fine.error();
    auto limits = parse_limits(values);
    if (limits.has_error()) return limits.error();
    set_memlock_arguments told;
    told.process = {field(values, "boot_id"), number_field<std::int32_t>(values, "pid"),
                    number_field<std::uint64_t>(values, "start_time")};
    told.size_bytes = number_field<std::uint64_t>(values, "size_bytes");
    told.exactly = *limits;
    return told;
}

namespace {

struct set_memlock_kind : kind_defaults<set_memlock_arguments, memlock_before> {
    // QEMU locks the memory once, for all devices that it is given.
    static constexpr shared_by sharers = shared_by::guest;

    static std::string describe(const arguments& told);

    /// Of a limit that was raised twice, the lower one is what the process began with.
    static bool is_earlier(const prior& given, const prior& own) {
        return given.limits && (!own.limits || given.limits->soft_bytes < own.limits->soft_bytes);
    }
    static std::optional<step> inverse(const arguments& told, const prior& before);
    static std::vector<std::string> manual_undo(const arguments& told, const prior& before,
                                                const fields& subject);
    static std::vector<std::string> manual_finish(const arguments& told, const fields& subject);
    static task<prior> observe(step_context& context, const arguments& told);
    static task<fields> apply(step_context& context, const arguments& told, const prior& before);
    static task<presence> probe(step_context& context, const arguments& told, const prior& before);
    static task<void> revert(step_context& context, const arguments& told, const prior& before);
};

memlock wanted_limits(const set_memlock_arguments& told, const memlock_before& before) {
    if (told.exactly) return *told.exactly;
    const auto was = before.limits.value_or(memlock{});
    return {std::max(was.soft_bytes, told.size_bytes), std::max(was.hard_bytes, told.size_bytes)};
}

std::string limit_text(std::uint64_t bytes) {
    return bytes == ~std::uint64_t{0} ? "unlimited" : std::to_string(bytes);
}

/// For as long as it is that very process, which /proc tells by its start time: field 22, the 20th
/// behind the name.
std::vector<std::string> manual_limits(const process_identity& process,
                                       const std::optional<memlock>& limits) {
    if (!limits) return {};
    const auto pid = std::to_string(process.pid);
    return {"[ \"$(sed 's/.*) //' /proc/" + pid +
            "/stat 2>/dev/null | cut -d ' ' -f 20)\" != " + std::to_string(process.start_time) +
            " ] || prlimit --memlock=" + limit_text(limits->soft_bytes) + ":" +
            limit_text(limits->hard_bytes) + " --pid " + pid};
}

std::string set_memlock_kind::describe(const arguments& told) {
    const auto whose = "the locked-memory limit of QEMU (pid " + std::to_string(told.process.pid);
    if (told.exactly) return "set " + whose + ") back";
    return "raise " + whose + ") to " + std::to_string(told.size_bytes >> 20) + " MiB";
}

std::optional<step> set_memlock_kind::inverse(const arguments& told, const prior& before) {
    // A process that had ended before has nothing to get back.
    if (!before.limits) return std::nullopt;
    arguments back;
    back.process = told.process;
    back.exactly = before.limits;
    return back.to_step();
}

std::vector<std::string> set_memlock_kind::manual_undo(const arguments& told, const prior& before,
                                                       const fields&) {
    return manual_limits(told.process, before.limits);
}

std::vector<std::string> set_memlock_kind::manual_finish(const arguments& told, const fields&) {
    return manual_limits(told.process, told.exactly);
}

awaitable<result<memlock_before>> set_memlock_kind::observe(step_context& context,
                                                            const arguments& told) {
    if (!context.host.is_alive(told.process)) co_return prior();
    auto limits = context.host.read_memlock(told.process.pid);
    if (limits.has_error()) co_return limits.error();
    co_return prior{*limits};
}

awaitable<result<fields>> set_memlock_kind::apply(step_context& context, const arguments& told,
                                                  const prior& before) {
    // A process that has ended needs no limit, and its pid may be another's by now.
    if (!context.host.is_alive(told.process)) co_return fields{};
    auto set = context.host.set_memlock(told.process.pid, wanted_limits(told, before));
    if (set.has_error()) co_return set.error();
    co_return fields{};
}

awaitable<result<presence>> set_memlock_kind::probe(step_context& context, const arguments& told,
                                                    const prior& before) {
    if (!context.host.is_alive(told.process) || !before.limits) co_return presence::absent;
    const auto limits = context.host.read_memlock(told.process.pid);
    if (limits.has_error()) co_return limits.error();
    const bool same = limits->soft_bytes == before.limits->soft_bytes &&
                      limits->hard_bytes == before.limits->hard_bytes;
    co_return same ? presence::absent : presence::applied;
}

awaitable<result<void>> set_memlock_kind::revert(step_context& context, const arguments& told,
                                                 const prior& before) {
    if (!context.host.is_alive(told.process) || !before.limits) co_return result<void>{};
    co_return context.host.set_memlock(told.process.pid, *before.limits);
}

} // namespace

const step_kind_handler& set_memlock_step() {
    static const typed_kind<set_memlock_kind> kind;
    return kind;
}

} // namespace vmplug
