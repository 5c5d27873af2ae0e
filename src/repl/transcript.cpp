#include "repl/transcript.hpp"

#include "command/text/printable_json.hpp"

#include <chrono>

#include <fcntl.h>
#include <unistd.h>

namespace vmplug {

bool transcript::open(const std::string& path) {
    // Another's link in a shared directory is not followed.
    const int descriptor =
        ::open(path.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (descriptor < 0) return false;
    file_.reset(::fdopen(descriptor, "a"));
    return file_ != nullptr;
}

void transcript::write(const char* what, const nlohmann::json& value) {
    if (!file_) return;
    const auto now = std::chrono::system_clock::now().time_since_epoch();
    const nlohmann::json line{
        {"time_us", std::chrono::duration_cast<std::chrono::microseconds>(now).count()},
        {what, value}};
    std::fputs(json_line(line).c_str(), file_.get());
    std::fflush(file_.get());
}

} // namespace vmplug
