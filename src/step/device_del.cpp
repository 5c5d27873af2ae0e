#include "step/device_del.hpp"

#include "step/field_check.hpp"
#include "step/release_device.hpp"
#include "step/steps.hpp"
#include "step/typed_kind.hpp"

namespace vmplug {

using boost::asio::awaitable;

result<device_del_arguments> device_del_arguments::parse(const fields& values) {
    const auto fine =
        field_check(values).has("id", is_qdev_id).has("wait_ms", is_milliseconds).verdict();
    if (fine.has_error()) return fine.error();
    return device_del_arguments{
        field(values, "id"),
        std::chrono::milliseconds(number_field<std::int64_t>(values, "wait_ms"))};
}

namespace {

/// Fails with `unplug_pending` when the guest has not let go in time.
struct device_del_kind : kind_defaults<device_del_arguments> {
    static std::string describe(const arguments& told) {
        return "ask the guest to let go of " + told.id + " and wait up to " +
               std::to_string(told.wait.count()) + " ms until it has";
    }
    static std::vector<std::string> manual_finish(const arguments& told, const fields& subject) {
        return {manual_device_del(told.id, subject)};
    }
    static task<fields> apply(step_context& context, const arguments& told, const prior&);
    static task<presence> probe(step_context& context, const arguments& told, const prior&);
};

awaitable<result<fields>> device_del_kind::apply(step_context& context, const arguments& told,
                                                 const prior&) {
    auto released = co_await release_device(context, told.id, told.wait);
    if (released.has_error()) co_return released.error();
    co_return fields{{"guest", "released"}};
}

awaitable<result<presence>> device_del_kind::probe(step_context& context, const arguments& told,
                                                   const prior&) {
    auto sight = co_await look_for_device(context, told.id);
    if (sight.has_error()) co_return sight.error();
    co_return *sight == guest_sight::gone ? presence::applied : presence::absent;
}

} // namespace

const step_kind_handler& device_del_step() {
    static const typed_kind<device_del_kind> kind;
    return kind;
}

} // namespace vmplug
