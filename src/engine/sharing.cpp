#include "engine/sharing.hpp"

#include "plan/plan_return.hpp"
#include "step/step_kind.hpp"

namespace vmplug {

using boost::asio::awaitable;

namespace {

/// What another record says would go into ours, or ours into it: neither is done, and ours waits.
/// It is no damage of its own.
error not_believed(const operation_record& other, const error& why) {
    return {error_code::journal_unavailable,
            "operation " + std::to_string(other.number),
            "its record cannot be believed: " + why.where + ": " + why.text,
            {},
            advice::distrust_record};
}

} // namespace

awaitable<result<void>> use_case::sharing::save(std::vector<operation_record> heirs) {
    // A record of which a part could not be read would be saved without it.
    for (const auto& heir : heirs)
        if (const auto fine = check_record(heir); fine.has_error())
            co_return not_believed(heir, fine.error());
    for (auto& heir : heirs)
        if (auto saved = co_await book_.save(heir); saved.has_error()) co_return saved;
    co_return result<void>();
}

awaitable<result<std::vector<step>>> use_case::sharing::plan_home(const operation_record& detach) {
    const auto attached = co_await book_.load(detach.releases);
    if (attached.has_error()) co_return attached.error();
    if (const auto fine = check_record(*attached); fine.has_error())
        co_return not_believed(*attached, fine.error());
    const auto seen = co_await operation_.look_around(book_);
    if (seen.has_error()) co_return seen.error();
    const auto saved = co_await save(hand_over(*attached, *seen));
    if (saved.has_error()) co_return saved.error();
    co_return plan_way_home(*attached, *seen, keeps_bound(detach.subject));
}

awaitable<result<bool>> use_case::sharing::take_over(const operation_record& attach,
                                                     std::size_t step) {
    if (attach.kind != operation_kind::attach) co_return false;
    // It has had its leases and its turn since it was planned: nobody can have come to need it.
    if (is_new_) co_return false;
    const auto seen = co_await operation_.look_around(book_);
    if (seen.has_error()) co_return seen.error();
    const auto scope = sharers_of(attach.steps[step].planned);
    if (!find_heir(attach, *seen, scope)) co_return false;
    auto heirs = hand_over(attach, *seen, scope);
    const auto saved = co_await save(std::move(heirs));
    if (saved.has_error()) co_return saved.error();
    co_return true;
}

} // namespace vmplug
