#include "engine/use_case.hpp"
#include "plan/plan_return.hpp"
#include "step/step_kind.hpp"

#include <algorithm>

namespace vmplug {

using boost::asio::awaitable;

awaitable<operation_report> use_case::bind(std::string device, bind_request request) {
    co_await begin_time();
    auto ours = co_await hold_device(device);
    if (ours.has_error()) co_return refusal(ours.error());
    const auto seen = co_await look_around(*ours);
    if (seen.has_error()) co_return refusal(seen.error());
    request.device = ours->address;
    work wanted;
    wanted.kind = operation_kind::bind;
    wanted.planned = plan_bind(request, *seen);
    wanted.busy = std::move(ours->busy);
    co_return co_await carry_out(*ours->book, ours->held, std::move(wanted));
}

awaitable<operation_report> use_case::release(std::string device) {
    co_await begin_time();
    auto ours = co_await hold_recorded_device(device);
    if (ours.has_error()) co_return refusal(ours.error());
    const auto seen = co_await look_around(*ours);
    if (seen.has_error()) co_return refusal(seen.error());
    const auto address = format_address(ours->address);
    const auto bound = std::ranges::find_if(seen->assigned, [&](const auto& record) {
        return record.kind == operation_kind::bind && field(record.subject, "device") == address;
    });
    if (bound == seen->assigned.end())
        co_return refusal({error_code::not_attached,
                           address,
                           "vmplug has not bound this device",
                           {},
                           advice::list_bound});
    if (const auto fine = check_record(*bound); fine.has_error())
        co_return refused_operation{{fine.error()}, {}, *bound};
    work wanted;
    wanted.kind = operation_kind::release;
    wanted.busy = std::move(ours->busy);
    wanted.planned = plan_release(*bound, *seen);
    wanted.releases = bound->number;
    co_return co_await carry_out(*ours->book, ours->held, std::move(wanted));
}

} // namespace vmplug
