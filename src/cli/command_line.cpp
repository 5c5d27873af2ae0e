#include "cli/command_line.hpp"

#include "command/handle/command_result.hpp"
#include "command/render/error_text.hpp"
#include "command/render/help_text.hpp"
#include "command/table/line_reader.hpp"
#include "command/text/printable_json.hpp"

#include <cstdlib>

namespace vmplug {
namespace {

command_line::ending misuse(const error& wrong, bool json) {
    const auto answer = misused(wrong);
    command_line::ending ended{answer.exit_code, {}, render_error(answer.value["error"])};
    if (json) ended.output = json_line(answer.value);
    return ended;
}

/// What is asked of the program itself, or that nothing is.
std::optional<command_line::ending> answer_question(const written_line& line, bool empty) {
    if (empty) return command_line::ending{2, {}, help_overview()};
    if (line.lost) return std::nullopt;
    if (line.asks_help)
        return command_line::ending{0, line.row ? help_of(*line.row) : help_overview(), {}};
    if (line.asks_version)
        return command_line::ending{
            0, "vmplug " VMPLUG_VERSION "\nbuilt on " VMPLUG_BUILT_ON "\n", {}};
    return std::nullopt;
}

} // namespace

command_line parse_command_line(const std::vector<std::string>& words) {
    command_line parsed;
    const auto line = read_line(words);
    parsed.json = line.values.has("--json");
    parsed.verbose = line.values.has("--verbose");
    parsed.ended = answer_question(line, words.empty());
    if (parsed.ended) return parsed;
    auto asked = parse_line(line);
    if (asked.has_error()) {
        parsed.ended = misuse(asked.error(), parsed.json);
        return parsed;
    }
    parsed.asked = line.row;
    parsed.values = std::move(*asked);
    if (const char* directory = std::getenv("VMPLUG_STATE_DIR")) parsed.state_directory = directory;
    if (parsed.values.has("--state-dir"))
        parsed.state_directory = parsed.values.text("--state-dir");
    return parsed;
}

} // namespace vmplug
