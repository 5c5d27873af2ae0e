#pragma once

#include "command/table/parse_values.hpp"

#include <nlohmann/json_fwd.hpp>

namespace vmplug {

/// What a JSON object asks of a verb: `{"vm": "web", "device": "01:00.0", "dry_run": true}`.
///
/// Shape: the names are those of the row's arguments and options (`field_name`). A flag is a
/// boolean, a number or a text may be written as either, what may be repeated is an array or one
/// value; a property is also a member of an object, `"set": {"romfile": ""}`. null is as if it were
/// not there. Errors: invalid_argument, `where` being the field; for a name that the verb does not
/// have too.
result<invocation> read_object(const verb& row, const nlohmann::json& object);

} // namespace vmplug
