#pragma once

#include <nlohmann/json.hpp>

#include <cstdio>
#include <memory>
#include <string>

namespace vmplug {

/// What was typed, answered and reported, with times, as JSON lines: {"time_us": ..., "input":
/// ...},
/// {"time_us": ..., "output": ...}, {"time_us": ..., "event": ...}. As a script it plays its
/// inputs.
class transcript {
public:
    /// Appends to `path`, made with mode 0600. Returns false when it cannot be opened.
    bool open(const std::string& path);

    void write(const char* what, const nlohmann::json& value);

private:
    struct closer {
        void operator()(std::FILE* file) const { std::fclose(file); }
    };
    std::unique_ptr<std::FILE, closer> file_;
};

} // namespace vmplug
