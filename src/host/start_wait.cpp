#include "host/start_wait.hpp"

#include <charconv>
#include <cstring>
#include <optional>
#include <vector>

#include <poll.h>

namespace vmplug {
namespace {

constexpr std::uint64_t polled_max = 4096;
constexpr int looks_max = 20;

struct polling {
    std::uint64_t address = 0;
    std::uint64_t count = 0;
};

/// "271 0x55d65bd1a080 0x4 ...": poll and ppoll take the array and its length first, also where
/// they go on after a signal (restart_syscall). "running": nothing, until it rests.
std::optional<polling> read_call(const file_tree& files, const std::string& directory) {
    for (int look = 0; look < looks_max; ++look) {
        const auto text = files.read_start(directory + "/syscall", 256);
        if (text.has_error()) return std::nullopt;
        const auto first = text->find(" 0x"), second = text->find(" 0x", first + 1);
        if (first == text->npos || second == text->npos) continue;
        polling found;
        std::from_chars(text->data() + first + 3, text->data() + text->size(), found.address, 16);
        std::from_chars(text->data() + second + 3, text->data() + text->size(), found.count, 16);
        return found;
    }
    return std::nullopt;
}

std::optional<std::vector<int>> read_polled(const file_tree& files, const std::string& directory) {
    const auto call = read_call(files, directory);
    if (!call || call->count == 0 || call->count > polled_max) return std::nullopt;
    const auto bytes = files.read_at(directory + "/mem", call->address,
                                     static_cast<std::size_t>(call->count) * sizeof(pollfd));
    if (bytes.has_error()) return std::nullopt;
    std::vector<int> polled;
    for (std::size_t at = 0; at < bytes->size(); at += sizeof(pollfd)) {
        pollfd each{};
        std::memcpy(&each, bytes->data() + at, sizeof each);
        polled.push_back(each.fd);
    }
    return polled;
}

} // namespace

start_wait read_start_wait(const file_tree& files, std::int32_t pid,
                           const std::map<int, std::string>& descriptors,
                           const std::map<int, std::string>& listeners) {
    start_wait found;
    const auto polled = read_polled(files, "/proc/" + std::to_string(pid));
    if (!polled) return found;
    bool only_wake_up = true;
    for (const int each : *polled) {
        const auto open = descriptors.find(each);
        // It was something else than a list of descriptors.
        if (open == descriptors.end()) return {};
        if (listeners.contains(each))
            found.descriptor = each;
        else if (open->second != "anon_inode:[eventfd]")
            only_wake_up = false;
    }
    const bool waits = only_wake_up && found.descriptor >= 0;
    found.is = waits ? start_wait::state::yes : start_wait::state::no;
    return found;
}

} // namespace vmplug
