#include "command/render/renderers.hpp"

#include <algorithm>
#include <array>

namespace vmplug {
namespace {

struct entry {
    std::string_view verb_name;
    command_renderer render;
};

constexpr std::array entries{
    entry{"vms", render_vms},
    entry{"devices", render_devices},
    entry{"ports", render_ports},
    entry{"check", render_check},
    entry{"attach", render_operation},
    entry{"detach", render_operation},
    entry{"bind", render_operation},
    entry{"release", render_operation},
    entry{"list", render_list},
    entry{"recover", render_recover},
    entry{"operations", render_operations},
    entry{"events", render_nothing},
    entry{"qmp", render_qmp},
    entry{"hmp", render_hmp},
    entry{"cmdline", render_cmdline},
    entry{"explain", render_explain},
};

} // namespace

command_renderer find_renderer(const verb& row) {
    const auto found = std::ranges::find(entries, row.name, &entry::verb_name);
    return found == entries.end() ? nullptr : found->render;
}

std::string render_nothing(const nlohmann::json&, const text_style&) {
    return {};
}

} // namespace vmplug
