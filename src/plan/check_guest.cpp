#include "judge/judge_guest.hpp"
#include "plan/attach_checks.hpp"

#include <algorithm>
#include <iterator>

namespace vmplug {

void check_guest(const attach_request& request, const situation& seen, attach_choice& choice) {
    guest_question asked;
    asked.device = request.device;
    asked.id = request.id;
    asked.port = request.port;
    asked.driver = request.driver;
    auto judged = judge_guest(asked, seen);
    std::ranges::move(refusals_of(judged.findings, request.force),
                      std::back_inserter(choice.refusals));
    std::ranges::move(notes_of(judged.findings, request.force), std::back_inserter(choice.notes));
    choice.id = std::move(judged.id);
    choice.port = judged.port;
    choice.name_port = judged.name_port;
    choice.model = judged.model;
    choice.host_driver = std::move(judged.host_driver);
}

} // namespace vmplug
