#include "step/field_check.hpp"
#include "step/steps.hpp"
#include "step/wait.hpp"

#include <vmplug/plan.hpp>

#include <algorithm>

namespace vmplug {
namespace {

using boost::asio::awaitable;

process_identity process_of(const fields& arguments) {
    return {field(arguments, "boot_id"), number_field<std::int32_t>(arguments, "pid"),
            number_field<std::uint64_t>(arguments, "start_time")};
}

host_control::memlock limits_of(const fields& prior) {
    return {number_field<std::uint64_t>(prior, "soft_bytes"),
            number_field<std::uint64_t>(prior, "hard_bytes")};
}

host_control::memlock wanted_limits(const fields& arguments, const fields& prior) {
    if (arguments.contains("soft_bytes")) return limits_of(arguments);
    const auto wanted = number_field<std::uint64_t>(arguments, "size_bytes");
    const auto before = limits_of(prior);
    return {std::max(before.soft_bytes, wanted), std::max(before.hard_bytes, wanted)};
}

std::string limit_text(const fields& values, const char* name) {
    const auto bytes = number_field<std::uint64_t>(values, name);
    return bytes == ~std::uint64_t{0} ? "unlimited" : std::to_string(bytes);
}

/// For as long as it is that very process, which /proc tells by its start time: field 22, the 20th
/// behind the name.
std::vector<std::string> manual_limits(const fields& arguments, const fields& limits) {
    if (!limits.contains("soft_bytes")) return {};
    const auto& pid = field(arguments, "pid");
    return {"[ \"$(sed 's/.*) //' /proc/" + pid +
            "/stat 2>/dev/null | cut -d ' ' -f 20)\" != " + field(arguments, "start_time") +
            " ] || prlimit --memlock=" + limit_text(limits, "soft_bytes") + ":" +
            limit_text(limits, "hard_bytes") + " --pid " + pid};
}

/// Raises QEMU's limit for locked memory, since VFIO locks all of the guest's RAM.
///
/// Arguments: `pid`, `start_time`, `boot_id`, and `size_bytes` (at least that much) or `soft_bytes`
/// and `hard_bytes` (exactly that, when the device comes back). Prior state: `soft_bytes`,
/// `hard_bytes`.
class set_memlock_kind final : public step_kind_handler {
public:
    std::string_view name() const override { return step_kind::set_memlock; }
    std::string describe(const fields& arguments) const override;
    bool is_shared() const override { return true; }
    result<void> check(const fields& arguments, const fields& prior) const override;
    std::vector<std::string> manual_undo(const fields& arguments, const fields& prior,
                                         const fields& subject) const override;
    std::vector<std::string> manual_finish(const fields& arguments,
                                           const fields& subject) const override;
    task<fields> observe(step_context& context, const fields& arguments) const override;
    task<fields> apply(step_context& context, const fields& arguments,
                       const fields& prior) const override;
    task<presence> probe(step_context& context, const fields& arguments,
                         const fields& prior) const override;
    task<void> revert(step_context& context, const fields& arguments,
                      const fields& prior) const override;
};

} // namespace

std::string set_memlock_kind::describe(const fields& arguments) const {
    if (arguments.contains("soft_bytes"))
        return "set the locked-memory limit of QEMU (pid " + field(arguments, "pid") + ") back";
    const auto mib = number_field<std::uint64_t>(arguments, "size_bytes") >> 20;
    return "raise the locked-memory limit of QEMU (pid " + field(arguments, "pid") + ") to " +
           std::to_string(mib) + " MiB";
}

result<void> set_memlock_kind::check(const fields& arguments, const fields& prior) const {
    auto fine = field_check(arguments)
                    .has("pid", is_pid)
                    .has("start_time", is_unsigned)
                    .may_have("boot_id", is_boot_id)
                    .may_have("size_bytes", is_unsigned)
                    .verdict();
    for (const auto* values : {&arguments, &prior})
        if (fine.has_value())
            fine = field_check(*values)
                       .may_have("soft_bytes", is_unsigned)
                       .may_have("hard_bytes", is_unsigned)
                       .verdict();
    return fine;
}

std::vector<std::string> set_memlock_kind::manual_undo(const fields& arguments, const fields& prior,
                                                       const fields&) const {
    return manual_limits(arguments, prior);
}

std::vector<std::string> set_memlock_kind::manual_finish(const fields& arguments,
                                                         const fields&) const {
    return manual_limits(arguments, arguments);
}

awaitable<result<fields>> set_memlock_kind::observe(step_context& context,
                                                    const fields& arguments) const {
    const auto process = process_of(arguments);
    if (!context.host.is_alive(process)) co_return fields{};
    auto limits = context.host.read_memlock(process.pid);
    if (limits.has_error()) co_return limits.error();
    co_return fields{{"soft_bytes", std::to_string(limits->soft_bytes)},
                     {"hard_bytes", std::to_string(limits->hard_bytes)}};
}

awaitable<result<fields>> set_memlock_kind::apply(step_context& context, const fields& arguments,
                                                  const fields& prior) const {
    const auto process = process_of(arguments);
    // A process that has ended needs no limit, and its pid may be another's by now.
    if (!context.host.is_alive(process)) co_return fields{};
    auto set = context.host.set_memlock(process.pid, wanted_limits(arguments, prior));
    if (set.has_error()) co_return set.error();
    co_return fields{};
}

awaitable<result<presence>> set_memlock_kind::probe(step_context& context, const fields& arguments,
                                                    const fields& prior) const {
    const auto process = process_of(arguments);
    if (!context.host.is_alive(process)) co_return presence::absent;
    const auto limits = context.host.read_memlock(process.pid);
    if (limits.has_error()) co_return limits.error();
    const auto before = limits_of(prior);
    const bool same =
        limits->soft_bytes == before.soft_bytes && limits->hard_bytes == before.hard_bytes;
    co_return same ? presence::absent : presence::applied;
}

awaitable<result<void>> set_memlock_kind::revert(step_context& context, const fields& arguments,
                                                 const fields& prior) const {
    const auto process = process_of(arguments);
    if (!context.host.is_alive(process)) co_return result<void>{};
    co_return context.host.set_memlock(process.pid, limits_of(prior));
}

const step_kind_handler& set_memlock_step() {
    static const set_memlock_kind kind;
    return kind;
}

} // namespace vmplug
