#include "repl/history_search.hpp"

#include <doctest/doctest.h>

#include <string_view>

using namespace vmplug;

namespace {

using progress = history_search::progress;

progress type(history_search& search, std::string_view keys) {
    auto last = progress::searching;
    for (const char key : keys)
        last = search.take(key);
    return last;
}

constexpr std::string_view older = "\x12", erase = "\x7f";

} // namespace

TEST_CASE("each key narrows a search, and Ctrl-R goes to an older line") {
    history_search search({"list", "query-pci", "list", "query-\xc3\xa4"});
    type(search, "qu");
    CHECK(search.match() == "query-pci");
    type(search, older);
    CHECK(search.match() == "query-\xc3\xa4");
    type(search, older);
    CHECK(search.failing());
    CHECK(search.match() == "query-\xc3\xa4");
    type(search, erase);
    CHECK_FALSE(search.failing());
    CHECK(search.match() == "query-pci");
    type(search, erase);
    CHECK(search.wanted().empty());
    CHECK_FALSE(search.failing());
}

TEST_CASE("a character of several bytes is erased as one") {
    history_search search({"query-\xc3\xa4"});
    type(search, "-\xc3\xa4");
    CHECK(search.match() == "query-\xc3\xa4");
    type(search, erase);
    CHECK(search.wanted() == "-");
}

TEST_CASE("a search ends with Enter, Ctrl-G, or a key that edits") {
    CHECK(history_search({}).take('\r') == progress::taken);
    CHECK(history_search({}).take('\x07') == progress::given_up);
    CHECK(history_search({}).take('\x1b') == progress::accepted);
    CHECK(history_search({}).take('\x01') == progress::accepted);
}

TEST_CASE("a search without lines, and one that is very long, do no harm") {
    history_search search({});
    type(search, older);
    CHECK(type(search, std::string(5000, 'x')) == progress::searching);
    CHECK(search.failing());
    CHECK(search.wanted().size() == 256);
}
