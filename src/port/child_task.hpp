#pragma once

#include <vmplug/error.hpp>

#include <string>
#include <vector>

namespace vmplug {

/// A piece of work that may block in the kernel for ever, running in a child process.
///
/// `report` becomes readable when the child has something to say and ends when it has finished:
/// first one byte-sized-int errno (0: success) as text and a newline, then what was read or what
/// the program printed. Closing it detaches the child: it is not killed, because a signal would
/// turn a wait inside vfio's unbind into one that nothing can end.
struct child_task {
    int pid = -1;
    int report = -1;
};

/// Writes `value` to a file with one write(2).
result<child_task> start_write(const std::string& path, const std::string& value);

/// Reads a file of at most 64 KiB.
result<child_task> start_read(const std::string& path);

/// Gives a network interface another name. Errors: `invalid_argument` for a name that is too long.
result<child_task> start_rename(const std::string& name, const std::string& new_name);

/// Runs a program without a shell; its output and errors are what it reports.
result<child_task> start_program(const std::vector<std::string>& arguments);

} // namespace vmplug
