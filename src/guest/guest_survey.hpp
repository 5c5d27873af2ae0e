#pragma once

#include "qapi/request.hpp"

#include <vmplug/guest_facts.hpp>

#include <memory>
#include <string>
#include <vector>

namespace vmplug {

/// Collects `guest_facts` without doing I/O: `next` says what to ask, `answer` takes the replies.
///
///     guest_survey survey(version);
///     for (auto batch = survey.next(); !batch.empty(); batch = survey.next())
///         for each i: survey.answer(i, reply to batch[i], or nullptr when QEMU refused it)
///     survey.facts()
///
/// A batch may be sent as a whole: no query in it depends on another. What a QEMU refuses is
/// missing in the facts, so the same survey serves old ones. Replies are untrusted: what has not
/// the documented form counts as missing. A guest that has more than is looked at has none of it
/// said: `failure` tells.
class guest_survey {
public:
    static constexpr std::size_t devices_max = 4096;

    explicit guest_survey(std::string version);
    guest_survey(guest_survey&&) noexcept;
    guest_survey& operator=(guest_survey&&) noexcept;
    ~guest_survey();

    std::vector<qapi::request> next();
    void answer(std::size_t index, const nlohmann::json* reply);

    /// Why the facts are not to be believed. Errors: `limit_exceeded`.
    const std::optional<error>& failure() const;

    /// Valid when `next` has returned an empty batch.
    const guest_facts& facts() const;

private:
    struct state;
    std::unique_ptr<state> state_;
};

} // namespace vmplug
