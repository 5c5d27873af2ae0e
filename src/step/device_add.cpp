#include "step/device_add.hpp"

#include "step/device_del.hpp"
#include "step/field_check.hpp"
#include "step/release_device.hpp"
#include "step/steps.hpp"
#include "step/typed_kind.hpp"

#include <nlohmann/json.hpp>

namespace vmplug {

using boost::asio::awaitable;

result<device_add_arguments> device_add_arguments::parse(const fields& values) {
    const auto fine = field_check(values).has("id", is_qdev_id).verdict();
    if (fine.has_error()) return fine.error();
    device_add_arguments told{field(values, "id"), field(values, "arguments")};
    // It goes to QEMU as it is: an object for that very device.
    const auto object = nlohmann::json::parse(told.json, nullptr, false);
    if (object.is_object() && object.value("id", nlohmann::json()) == told.id) return told;
    return error{error_code::journal_corrupt,
                 "arguments",
                 "the record has no arguments of device_add for " + told.id,
                 {}};
}

namespace {

/// Its undo asks the guest to let go and may therefore end as `unplug_pending`.
struct device_add_kind : kind_defaults<device_add_arguments> {
    static std::string describe(const arguments& told) {
        return "add it to the guest: device_add " + told.json;
    }
    static std::optional<step> inverse(const arguments& told, const prior&) {
        return device_del_arguments{told.id, detach_request().wait_guest}.to_step();
    }
    static std::vector<std::string> manual_undo(const arguments& told, const prior&,
                                                const fields& subject) {
        return {manual_device_del(told.id, subject)};
    }
    static task<fields> apply(step_context& context, const arguments& told, const prior&);
    static task<presence> probe(step_context& context, const arguments& told, const prior&);
    static task<void> revert(step_context& context, const arguments& told, const prior&) {
        return release_device(context, told.id, context.guest_deadline);
    }
};

awaitable<result<fields>> device_add_kind::apply(step_context& context, const arguments& told,
                                                 const prior&) {
    auto link = co_await context.guest();
    if (link.has_error()) co_return link.error();
    const call_limit patient(context.add_deadline, context.stop);
    auto added = co_await (*link)->device_add(told.json, patient);
    if (added.has_error()) co_return added.error();
    co_return fields{};
}

awaitable<result<presence>> device_add_kind::probe(step_context& context, const arguments& told,
                                                   const prior&) {
    auto sight = co_await look_for_device(context, told.id);
    if (sight.has_error()) co_return sight.error();
    co_return *sight == guest_sight::gone ? presence::absent : presence::applied;
}

} // namespace

const step_kind_handler& device_add_step() {
    static const typed_kind<device_add_kind> kind;
    return kind;
}

} // namespace vmplug
