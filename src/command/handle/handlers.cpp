#include "command/handle/handlers.hpp"

#include <algorithm>
#include <array>

namespace vmplug {
namespace {

struct entry {
    std::string_view verb_name;
    command_handler run;
};

constexpr std::array entries{
    entry{"vms", run_vms},
    entry{"devices", run_devices},
    entry{"ports", run_ports},
    entry{"check", run_check},
    entry{"attach", run_attach},
    entry{"detach", run_detach},
    entry{"bind", run_bind},
    entry{"release", run_release},
    entry{"list", run_list},
    entry{"recover", run_recover},
    entry{"operations", run_operations},
    entry{"events", run_events},
    entry{"qmp", run_qmp},
    entry{"hmp", run_hmp},
    entry{"cmdline", run_cmdline},
    entry{"explain", run_explain},
};

} // namespace

command_handler find_handler(const verb& row) {
    const auto found = std::ranges::find(entries, row.name, &entry::verb_name);
    return found == entries.end() ? nullptr : found->run;
}

} // namespace vmplug
