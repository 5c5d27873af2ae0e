#include "judge/judge_device.hpp"
#include "plan/attach_checks.hpp"

#include <algorithm>
#include <iterator>

namespace vmplug {

void check_host(const attach_request& request, const situation& seen, attach_choice& choice) {
    const auto* function = seen.host.find(request.device);
    if (!function) {
        choice.refusals.push_back({error_code::device_not_found,
                                   format_address(request.device),
                                   "this host has no such PCI function",
                                   {},
                                   advice::list_devices});
        return;
    }
    choice.binding = request.binding;
    const device_question asked{choice.host_driver, choice.for_guest, request.binding,
                                request.with_group};
    auto judged = judge_device(asked, seen, *function);
    std::ranges::move(refusals_of(judged.findings, request.force),
                      std::back_inserter(choice.refusals));
    std::ranges::move(notes_of(judged.findings, request.force), std::back_inserter(choice.notes));
    choice.to_bind = std::move(judged.to_bind);
}

} // namespace vmplug
