#include "command/render/remedies.hpp"
#include "command/table/verb.hpp"

#include <doctest/doctest.h>

#include <algorithm>

using namespace vmplug;

namespace {

/// The word that begins at `at`.
std::string word_at(const std::string& text, std::size_t at) {
    const auto end =
        text.find_first_not_of("abcdefghijklmnopqrstuvwxyz-ABCDEFGHIJKLMNOPQRSTUVWXYZ_", at);
    return text.substr(at, end - at);
}

bool is_option(const std::string& word) {
    const auto has = [&](const verb& row) { return find_option(&row, word) != nullptr; };
    return word == "--help" || std::ranges::any_of(verbs(), has);
}

/// Every verb and every option that a text names exists.
void check_names(const std::string& text) {
    CAPTURE(text);
    const std::string call = "`vmplug ";
    for (auto at = text.find(call); at != text.npos; at = text.find(call, at + 1)) {
        const auto name = word_at(text, at + call.size());
        CHECK((name == "VERB" || find_verb(name)));
    }
    for (auto at = text.find(" --"); at != text.npos; at = text.find(" --", at + 1)) {
        const auto option = word_at(text, at + 1);
        CHECK((is_option(option) || option == "--memlock" || option == "--pid"));
    }
}

error failure(advice advised, std::string remedy = {}) {
    return {error_code::vm_unproven, "0000:01:00.0", "text", std::move(remedy), advised};
}

} // namespace

TEST_CASE("each code and each advice has words, which name what there is") {
    for (const auto& row : error_catalogue()) {
        CAPTURE(row.name);
        CHECK(remedy_of(row.code).size() > 10);
        check_names(std::string(remedy_of(row.code)));
    }
    for (int i = 0; i <= static_cast<int>(advice::read_log_of_qemu); ++i) {
        const auto each = static_cast<advice>(i);
        CAPTURE(advice_name(each));
        const auto words = remedy_of(failure(each, "do this"));
        CHECK(words.size() > 6);
        CHECK(words.find('{') == words.npos);
        check_names(words);
        CHECK(parse_advice(advice_name(each)) == each);
    }
    CHECK(parse_advice("of a later vmplug") == advice::none);
}

TEST_CASE("what a failure says itself comes before what its code says") {
    CHECK(remedy_of(failure(advice::none)) == remedy_of(error_code::vm_unproven));
    CHECK(remedy_of(failure(advice::of_code)) == remedy_of(error_code::vm_unproven));
    CHECK(remedy_of(failure(advice::none, "do {where}")) == "do {where}");
    CHECK(remedy_of(failure(advice::bind_first, "then {where}")) ==
          "`vmplug bind 0000:01:00.0`, then {where}");
    CHECK(remedy_of(failure(advice::force_where_done, "do it")) ==
          "do it; --force where that has been done");
}

TEST_CASE("a finding that is in order advises nothing of its code") {
    finding found;
    found.says = verdict::warning;
    found.code = error_code::interrupt_shared;
    CHECK(remedy_of(found).empty());
    found.advised = advice::of_code;
    CHECK(remedy_of(found) == remedy_of(error_code::interrupt_shared));
    found.says = verdict::refused;
    found.advised = advice::none;
    CHECK(remedy_of(found) == remedy_of(error_code::interrupt_shared));
}

TEST_CASE("what was asked for is named as it was written") {
    auto wrong = failure(advice::none);
    CHECK(where_of(wrong) == "0000:01:00.0");
    wrong.where = "nic0";
    wrong.about = request_field::id;
    CHECK(where_of(wrong) == "--id nic0");
    wrong.about = request_field::property;
    CHECK(where_of(wrong) == "--set nic0");
}
