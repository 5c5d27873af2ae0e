#include "journal/journal_store.hpp"

namespace vmplug {
namespace {

/// A journal as operations see it.
class journal_records final : public records {
public:
    explicit journal_records(journal opened) : journal_(std::move(opened)) {}

    task<void> save(operation_record& record) override { co_return journal_.save(record); }
    task<void> save_together(std::vector<operation_record*> all) override {
        co_return journal_.save(all);
    }
    task<operation_record> load(std::int64_t number) override { co_return journal_.load(number); }
    task<std::vector<operation_record>> load_open() override { co_return journal_.load_open(); }
    task<std::vector<operation_record>> load_assignments() override {
        co_return journal_.load_assignments();
    }
    task<known_request> find_request(std::string id) override {
        co_return journal_.find_request(id);
    }
    task<void> note_request(std::string id, std::string asked, std::int64_t number) override {
        co_return journal_.note_request(id, asked, number);
    }

private:
    journal journal_;
};

result<std::shared_ptr<records>> to_records(result<journal> opened) {
    if (opened.has_error()) return opened.error();
    return std::make_shared<journal_records>(std::move(*opened));
}

} // namespace

result<std::shared_ptr<records>> journal_store::open() {
    return to_records(journal::open(directory_));
}

result<std::shared_ptr<records>> journal_store::open_to_read() {
    return to_records(journal::open_to_read(directory_));
}

} // namespace vmplug
