#pragma once

#include <cstdio>
#include <memory>
#include <string>

namespace vmplug {

struct file_closer {
    void operator()(std::FILE* file) const { std::fclose(file); }
};
using open_file = std::unique_ptr<std::FILE, file_closer>;

/// Opens the file of earlier lines, which is made with mode 0600 when it is written. Nothing is
/// followed, and a file of another user is left alone, as under `sudo` with that user's home:
/// nullptr.
open_file open_history(const std::string& path, bool to_write);

/// Where it is: below XDG_STATE_HOME, else HOME/.local/state; empty when there is no such place
/// that is ours. Its directory is made.
std::string find_history_file();

} // namespace vmplug
