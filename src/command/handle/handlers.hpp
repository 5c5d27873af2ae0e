#pragma once

#include "command/handle/command_context.hpp"
#include "command/handle/command_result.hpp"
#include "command/table/invocation.hpp"
#include "command/table/verb.hpp"

#include <boost/asio/awaitable.hpp>

// One handler for each verb; handlers.cpp is the only one who names them.
namespace vmplug {

using command_task = boost::asio::awaitable<command_result>;
using command_handler = command_task (*)(command_context&, const invocation&);

/// What runs a verb; nullptr for the prompt, which the program runs itself.
command_handler find_handler(const verb& row);

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

} // namespace vmplug
