#pragma once

#include <vmplug/operation.hpp>

#include <string>

namespace vmplug {

/// The JSON text that the journal keeps of a record (all but its steps and its number) and of a
/// step.
std::string format_record(const operation_record& record);
std::string format_step(const step_record& step);

/// Errors: `journal_corrupt` for anything that `format_record` or `format_step` did not write.
result<operation_record> parse_record(const std::string& text);
result<step_record> parse_step(const std::string& text);

} // namespace vmplug
