#pragma once

#include "command/table/verb.hpp"
#include "command/text/text_style.hpp"

#include <nlohmann/json_fwd.hpp>

#include <string>

// One renderer for each verb; renderers.cpp is the only one who names them.
namespace vmplug {

/// Makes text for people of an answer, and of nothing else.
using command_renderer = std::string (*)(const nlohmann::json& value, const text_style& style);

/// nullptr for the prompt, which shows what its lines' verbs answer.
command_renderer find_renderer(const verb& row);

/// One line of a verb that streams: an event, or what became of the monitor.
std::string render_event(const nlohmann::json& value);

std::string render_vms(const nlohmann::json&, const text_style&);
std::string render_devices(const nlohmann::json&, const text_style&);
std::string render_ports(const nlohmann::json&, const text_style&);
std::string render_check(const nlohmann::json&, const text_style&);
std::string render_operation(const nlohmann::json&, const text_style&);
std::string render_list(const nlohmann::json&, const text_style&);
std::string render_recover(const nlohmann::json&, const text_style&);
std::string render_operations(const nlohmann::json&, const text_style&);
std::string render_qmp(const nlohmann::json&, const text_style&);
std::string render_hmp(const nlohmann::json&, const text_style&);
std::string render_cmdline(const nlohmann::json&, const text_style&);
std::string render_explain(const nlohmann::json&, const text_style&);
std::string render_nothing(const nlohmann::json&, const text_style&);

} // namespace vmplug
