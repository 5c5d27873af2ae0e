#include <vmplug/error.hpp>

#include <algorithm>
#include <numeric>

namespace vmplug {
namespace {

constexpr std::size_t length_max = 64; ///< of a name that somebody types
constexpr std::size_t distance_max = 2;

/// Levenshtein's distance.
std::size_t distance(std::string_view a, std::string_view b) {
    std::vector<std::size_t> row(b.size() + 1);
    std::iota(row.begin(), row.end(), std::size_t{0});
    for (std::size_t i = 0; i < a.size(); ++i) {
        auto diagonal = row[0]++;
        for (std::size_t j = 0; j < b.size(); ++j) {
            const auto above = row[j + 1];
            row[j + 1] = std::min({above + 1, row[j] + 1, diagonal + (a[i] == b[j] ? 0 : 1)});
            diagonal = above;
        }
    }
    return row.back();
}

} // namespace

std::string did_you_mean(std::string_view word, const std::vector<std::string>& names) {
    const std::string* nearest = nullptr;
    // Of a short word everything is two letters away.
    auto least = std::min(distance_max, word.size() / 2) + 1;
    for (const auto& name : names) {
        if (word.size() > length_max || name.size() > length_max || name.empty()) continue;
        const auto apart = distance(word, name);
        if (apart == 0 || apart >= least) continue;
        nearest = &name;
        least = apart;
    }
    return nearest ? "; did you mean '" + *nearest + "'?" : std::string();
}

} // namespace vmplug
