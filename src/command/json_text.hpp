#pragma once

#include "command/verb.hpp"

namespace vmplug {

nlohmann::json to_json(const error& failure);
nlohmann::json to_json(const step_record& step);
nlohmann::json to_json(const operation_record& record);
nlohmann::json to_json(const qemu_process& process);
nlohmann::json to_json(const guest_port& port);
nlohmann::json to_json(const guest_device& device);

/// A failure of something that changes nothing: `refused`, or `unknown` when a command was sent and
/// not answered.
command_result failed(const error& failure);

/// A usage error (exit 2): an argument has no such form.
command_result misused(const error& failure);

/// `value` with `outcome: done`.
command_result succeeded(nlohmann::json value);

/// "code: where: text" and the remedy, for stderr.
std::string render_error(const nlohmann::json& failure, const text_style& style = {});

/// The text of a member, empty when it is missing.
std::string text_at(const nlohmann::json& value, const char* key);

/// The elements of an array as one line.
std::string join(const nlohmann::json& array, const char* between);

} // namespace vmplug
