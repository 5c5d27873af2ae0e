#include "step/field_check.hpp"
#include "step/release_device.hpp"
#include "step/steps.hpp"
#include "step/wait.hpp"

#include <vmplug/plan.hpp>

#include <nlohmann/json.hpp>

namespace vmplug {
namespace {

using boost::asio::awaitable;

/// Adds the assigned device to the guest.
///
/// Arguments: `id`, `arguments` (the JSON object of device_add). Its undo asks the guest to let go
/// and may therefore end as `unplug_pending`.
class device_add_kind final : public step_kind_handler {
public:
    std::string_view name() const override { return step_kind::device_add; }
    std::string describe(const fields& arguments) const override;
    result<void> check(const fields& arguments, const fields& prior) const override;
    std::vector<std::string> manual_undo(const fields& arguments, const fields& prior,
                                         const fields& subject) const override;
    task<fields> apply(step_context& context, const fields& arguments,
                       const fields& prior) const override;
    task<presence> probe(step_context& context, const fields& arguments,
                         const fields& prior) const override;
    task<void> revert(step_context& context, const fields& arguments,
                      const fields& prior) const override;
};

} // namespace

std::string device_add_kind::describe(const fields& arguments) const {
    return "add it to the guest: device_add " + field(arguments, "arguments");
}

result<void> device_add_kind::check(const fields& arguments, const fields&) const {
    auto fine = field_check(arguments).has("id", is_qdev_id).verdict();
    if (fine.has_error()) return fine;
    // It goes to QEMU as it is: an object for that very device.
    const auto object = nlohmann::json::parse(field(arguments, "arguments"), nullptr, false);
    if (object.is_object() && object.value("id", nlohmann::json()) == field(arguments, "id"))
        return {};
    return error{error_code::journal_corrupt,
                 "arguments",
                 "the record has no arguments of device_add for " + field(arguments, "id"),
                 {}};
}

std::vector<std::string> device_add_kind::manual_undo(const fields& arguments, const fields&,
                                                      const fields& subject) const {
    return {manual_device_del(field(arguments, "id"), subject)};
}

awaitable<result<fields>> device_add_kind::apply(step_context& context, const fields& arguments,
                                                 const fields&) const {
    auto link = co_await context.guest();
    if (link.has_error()) co_return link.error();
    auto json = field(arguments, "arguments");
    const call_limit patient(context.add_deadline, context.stop);
    auto added = co_await (*link)->device_add(std::move(json), patient);
    if (added.has_error()) co_return added.error();
    co_return fields{};
}

awaitable<result<presence>> device_add_kind::probe(step_context& context, const fields& arguments,
                                                   const fields&) const {
    auto sight = co_await look_for_device(context, field(arguments, "id"));
    if (sight.has_error()) co_return sight.error();
    co_return *sight == guest_sight::gone ? presence::absent : presence::applied;
}

awaitable<result<void>> device_add_kind::revert(step_context& context, const fields& arguments,
                                                const fields&) const {
    co_return co_await release_device(context, field(arguments, "id"), context.guest_deadline);
}

const step_kind_handler& device_add_step() {
    static const device_add_kind kind;
    return kind;
}

} // namespace vmplug
