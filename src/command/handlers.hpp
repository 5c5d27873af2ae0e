#pragma once

#include "command/verb.hpp"

// One handler and one renderer for each verb; verbs.cpp is the only one who names them.
namespace vmplug {

using command_task = boost::asio::awaitable<command_result>;

command_task run_vms(command_context&, const invocation&);
command_task run_devices(command_context&, const invocation&);
command_task run_ports(command_context&, const invocation&);
command_task run_check(command_context&, const invocation&);
command_task run_attach(command_context&, const invocation&);
command_task run_detach(command_context&, const invocation&);
command_task run_bind(command_context&, const invocation&);
command_task run_release(command_context&, const invocation&);
command_task run_list(command_context&, const invocation&);
command_task run_recover(command_context&, const invocation&);
command_task run_operations(command_context&, const invocation&);
command_task run_events(command_context&, const invocation&);
command_task run_qmp(command_context&, const invocation&);
command_task run_hmp(command_context&, const invocation&);
command_task run_cmdline(command_context&, const invocation&);
command_task run_explain(command_context&, const invocation&);

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
