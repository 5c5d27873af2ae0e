#include "command/text/picture.hpp"

#include "command/text/terminal_text.hpp"

#include <algorithm>
#include <limits>
#include <span>

namespace vmplug {
namespace {

constexpr std::size_t unlimited = std::numeric_limits<std::size_t>::max();
constexpr std::size_t readable = 8; ///< columns that a text has at least

struct glyphs {
    const char *branch, *last, *through, *blank;
    const char *corner, *corner_end, *side, *flat, *foot, *foot_end;
};

constexpr glyphs lines{"├─ ", "└─ ", "│  ", "   ", "┌", "┐", "│", "─", "└", "┘"};
constexpr glyphs ascii{"|- ", "`- ", "|  ", "   ", "+", "+", "|", "-", "+", "+"};

/// A line that is drawn but for what stands left of it. The width is kept, since colours take none.
struct drawn_line {
    std::string text;
    std::size_t width = 0;
};
using drawing = std::vector<drawn_line>;

std::size_t less(std::size_t room, std::size_t taken) {
    if (room == unlimited) return room;
    return std::max(room - std::min(room, taken), readable);
}

std::string repeat(const char* what, std::size_t count) {
    std::string text;
    while (count-- > 0)
        text += what;
    return text;
}

class painter {
public:
    /// `box` is drawn around it already.
    explicit painter(const text_style& style, std::string box = {})
        : style_(style), with_(style.unicode ? lines : ascii), box_(std::move(box)) {}

    /// Nodes beside each other. `stems`: they hang on what is above them.
    drawing draw(std::span<const picture_node> nodes, bool stems, std::size_t room) const {
        drawing all;
        while (!nodes.empty()) {
            const auto count = boxed(nodes);
            const bool last = count == nodes.size();
            const auto inner = stems ? less(room, 3) : room;
            const auto part =
                count == 0 ? draw_node(nodes.front(), inner) : draw_box(nodes.first(count), inner);
            nodes = nodes.subspan(std::max<std::size_t>(count, 1));
            hang(part, stems, last || nodes.empty(), all);
        }
        return all;
    }

private:
    /// How many of the first nodes are in one box, 0 when the first is in none.
    std::size_t boxed(std::span<const picture_node> nodes) const {
        if (nodes.front().box == box_ || nodes.front().box.empty()) return 0;
        const auto other = std::ranges::find_if(
            nodes, [&](const auto& each) { return each.box != nodes.front().box; });
        return static_cast<std::size_t>(other - nodes.begin());
    }

    drawing draw_node(const picture_node& node, std::size_t room) const {
        const auto text = cut_to_width(escape_for_terminal(node.text), room);
        drawing all{{paint(style_, node.colour, text), display_width(text)}};
        auto below = draw(node.children, true, room);
        all.insert(all.end(), std::make_move_iterator(below.begin()),
                   std::make_move_iterator(below.end()));
        return all;
    }

    drawing draw_box(std::span<const picture_node> nodes, std::size_t room) const {
        const auto& name = nodes.front().box;
        const auto inner = painter(style_, name).draw(nodes, false, less(room, 4));
        const auto title = " " + escape_for_terminal(name) + " ";
        auto width = display_width(title);
        for (const auto& each : inner)
            width = std::max(width, each.width);
        drawing all{{with_.corner + std::string(with_.flat) + title +
                         repeat(with_.flat, width + 1 - display_width(title)) + with_.corner_end,
                     width + 4}};
        for (const auto& each : inner)
            all.push_back({std::string(with_.side) + " " + each.text +
                               std::string(width - each.width + 1, ' ') + with_.side,
                           width + 4});
        all.push_back({with_.foot + repeat(with_.flat, width + 2) + with_.foot_end, width + 4});
        return all;
    }

    void hang(const drawing& part, bool stems, bool last, drawing& all) const {
        for (std::size_t i = 0; i < part.size(); ++i) {
            const char* stem = "";
            if (stems && i == 0) stem = last ? with_.last : with_.branch;
            if (stems && i > 0) stem = last ? with_.blank : with_.through;
            all.push_back({stem + part[i].text, part[i].width + (stems ? 3 : 0)});
        }
    }

    const text_style& style_;
    const glyphs& with_;
    std::string box_;
};

} // namespace

std::string draw(const std::vector<picture_node>& roots, const text_style& style) {
    std::string text;
    for (const auto& line :
         painter(style).draw(roots, false, style.width ? style.width : unlimited))
        text += line.text + "\n";
    return text;
}

} // namespace vmplug
