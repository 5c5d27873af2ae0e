#include "journal/journal_store.hpp"

namespace vmplug {
namespace {

/// A journal as operations see it, on its thread.
class journal_records final : public records {
    template <class Work>
    auto ask(Work work) -> boost::asio::awaitable<std::invoke_result_t<Work&, journal&>> {
        return thread_->ask(may_make_, std::move(work));
    }

public:
    journal_records(std::shared_ptr<journal_thread> thread, bool may_make)
        : thread_(std::move(thread)), may_make_(may_make) {}

    task<void> save(operation_record& record) override { return save_together({&record}); }
    task<void> save_together(std::vector<operation_record*> all) override {
        std::vector<operation_record> copies;
        copies.reserve(all.size());
        for (const auto* record : all)
            copies.push_back(*record);
        const auto saved = co_await thread_->save(std::move(copies));
        if (saved.has_error()) co_return saved.error();
        for (std::size_t i = 0; i < all.size(); ++i) {
            all[i]->number = (*saved)[i].number;
            all[i]->version = (*saved)[i].version;
        }
        co_return result<void>{};
    }
    task<operation_record> load(std::int64_t number) override {
        return ask([number](journal& from) { return from.load(number); });
    }
    task<std::vector<operation_record>> load_open() override {
        return ask([](journal& from) { return from.load_open(); });
    }
    task<std::vector<operation_record>> load_assignments() override {
        return ask([](journal& from) { return from.load_assignments(); });
    }
    task<known_request> find_request(std::string id) override {
        return ask([id = std::move(id)](journal& from) { return from.find_request(id); });
    }
    task<void> note_request(std::string id, std::string asked, std::int64_t number) override {
        return ask([id = std::move(id), asked = std::move(asked), number](journal& in) {
            return in.note_request(id, asked, number);
        });
    }

private:
    std::shared_ptr<journal_thread> thread_;
    bool may_make_;
};

/// The same at once, for a look that nobody waits beside.
class records_at_once final : public records {
public:
    explicit records_at_once(journal opened) : journal_(std::move(opened)) {}

    task<void> save(operation_record&) override { co_return only_a_look(); }
    task<void> save_together(std::vector<operation_record*>) override { co_return only_a_look(); }
    task<operation_record> load(std::int64_t number) override { co_return journal_.load(number); }
    task<std::vector<operation_record>> load_open() override { co_return journal_.load_open(); }
    task<std::vector<operation_record>> load_assignments() override {
        co_return journal_.load_assignments();
    }
    task<known_request> find_request(std::string id) override {
        co_return journal_.find_request(id);
    }
    task<void> note_request(std::string, std::string, std::int64_t) override {
        co_return only_a_look();
    }

private:
    static error only_a_look() {
        return {error_code::internal, "journal", "it was opened for a look", {}};
    }

    journal journal_;
};

} // namespace

result<std::shared_ptr<records>> journal_store::open() {
    if (auto fine = journal::check_place(directory_); fine.has_error()) return fine.error();
    return std::make_shared<journal_records>(thread_, true);
}

result<std::shared_ptr<records>> journal_store::open_to_read() {
    if (looks_ == looks::on_the_thread || thread_->has_begun())
        return std::make_shared<journal_records>(thread_, false);
    auto opened = journal::open_to_read(directory_);
    if (opened.has_error()) return opened.error();
    return std::make_shared<records_at_once>(std::move(*opened));
}

} // namespace vmplug
