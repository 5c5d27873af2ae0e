#include "host/mounts.hpp"

#include <sstream>

namespace vmplug {
namespace {

/// Blanks and the like stand there as "\040".
std::string unescape(const std::string& text) {
    std::string plain;
    const auto digit = [&](std::size_t i) { return i < text.size() ? text[i] - '0' : -1; };
    for (std::size_t i = 0; i < text.size(); ++i) {
        const int a = digit(i + 1);
        const int b = digit(i + 2);
        const int c = digit(i + 3);
        if (text[i] == '\\' && a >= 0 && a < 4 && b >= 0 && b < 8 && c >= 0 && c < 8) {
            plain += static_cast<char>(a * 64 + b * 8 + c);
            i += 3;
        } else {
            plain += text[i];
        }
    }
    return plain;
}

mount_entry parse_mount(const std::string& line) {
    std::istringstream words(line);
    std::string id, parent, word;
    mount_entry entry;
    words >> id >> parent >> entry.number >> entry.root >> entry.point;
    // Optional fields, as many as there are, end with a dash.
    while (words >> word && word != "-") {
    }
    words >> entry.type >> entry.source;
    entry.root = unescape(entry.root);
    entry.point = unescape(entry.point);
    entry.source = unescape(entry.source);
    return entry;
}

} // namespace

result<std::vector<mount_entry>> read_mounts(const file_tree& files, const std::string& path) {
    const auto text = files.read(path);
    if (text.has_error()) return text.error();
    std::vector<mount_entry> mounts;
    std::istringstream lines(*text);
    for (std::string line; std::getline(lines, line);)
        mounts.push_back(parse_mount(line));
    return mounts;
}

} // namespace vmplug
