#pragma once

#include "engine/engine.hpp"
#include "support/fake_guest.hpp"
#include "support/fake_host.hpp"
#include "support/simulated_disk.hpp"

#include <algorithm>
#include <list>
#include <map>
#include <memory>
#include <string>

namespace vmplug::testing {

/// One vmplug in a fake world: its ports, and its death.
class simulated_process {
public:
    simulated_process(fake_world& outside, simulated_disk& disk, simulated_locks& locks, int number,
                      mutation broken = mutation::none)
        : broken_(broken), outside_(outside), disk_(disk), locks_(locks), number_(number),
          reader_(*this),
          host_(outside, pause(),
                [this](const auto& leases, auto effect) { come_later(leases, std::move(effect)); }),
          vms_(*this), store_(*this),
          leases_(*this), at_{reader_,
                              host_,
                              vms_,
                              store_,
                              leases_,
                              outside.time,
                              process_identity{outside.boot_id, 10'000 + number, 1}} {
        host_.lies = broken == mutation::revert_lies;
    }

    simulated_process(const simulated_process&) = delete;
    simulated_process& operator=(const simulated_process&) = delete;

    engine& shared() { return shared_; }
    bool is_alive() const { return alive_; }

    /// Whatever runs in it ends at its next act.
    void die() {
        if (std::exchange(alive_, false)) disk_.settle_saves_of(number_);
        if (broken_ == mutation::fsync_missing)
            for (auto& [number, row] : unsynced_) {
                disk_.rows.erase(number);
                if (row) disk_.rows.emplace(number, *row);
            }
        std::erase_if(locks_, [this](const auto& each) { return each.second == number_; });
    }

    /// It ends with its machine: nothing of it is left, not even what hangs in the kernel.
    void lose_power() {
        die();
        locks_.clear();
    }

private:
    class held final : public lease {
    public:
        held(simulated_process& in, std::string name) : in_(in), name_(std::move(name)) {}
        const std::string& name() const { return name_; }
        ~held() override {
            const auto found = in_.locks_.find(name_);
            if (in_.alive_ && found != in_.locks_.end() && found->second == in_.number_)
                in_.locks_.erase(found);
        }

    private:
        simulated_process& in_;
        std::string name_;
    };

    /// As a child that hangs in the kernel: it has our leases until it is through.
    void come_later(const std::vector<const lease*>& leases, std::function<void()> effect) {
        const int child = --locks_.children;
        for (const auto* each : leases)
            if (const auto* ours = dynamic_cast<const held*>(each);
                ours && broken_ != mutation::late_effect)
                locks_[ours->name()] = child;
        outside_.time.later(
            std::chrono::seconds(1) + outside_.latency() * 100,
            [&locks = locks_, &outside = outside_, boot = outside_.boot_id, child,
             effect = std::move(effect)] {
                if (outside.boot_id != boot) return;
                effect();
                std::erase_if(locks, [child](const auto& each) { return each.second == child; });
            });
    }

    void check() const {
        if (!alive_) throw process_death{};
    }

    std::function<boost::asio::awaitable<void>()> pause() {
        return [this]() -> boost::asio::awaitable<void> {
            check();
            co_await outside_.time.wait(outside_.latency());
            check();
        };
    }

    class reader final : public host_reader {
    public:
        explicit reader(simulated_process& in) : in_(in) {}

        task<host_facts> read_host() override {
            co_await in_.pause()();
            host_facts host = functions();
            host.iommu.enabled = true;
            host.modules["vfio-pci"] = in_.outside_.loaded.contains("vfio-pci")
                                           ? module_state::loaded
                                           : module_state::available;
            for (const auto& [name, guest] : in_.outside_.guests)
                for (const auto& [id, held] : guest.devices) {
                    const auto found = in_.outside_.devices.find(held);
                    if (found != in_.outside_.devices.end())
                        host.group_users[found->second.group] = {{guest.identity.pid, name}};
                }
            co_return host;
        }
        task<host_facts> read_names() override { return read_functions(); }
        task<host_facts> read_functions() override {
            in_.check();
            co_return functions();
        }
        task<function_abilities> read_abilities(const host_facts&, host_address) override {
            in_.check();
            co_return function_abilities();
        }
        task<std::optional<process_view>>
        view_device(const host_facts&, std::optional<qemu_process> qemu, host_address) override {
            in_.check();
            const auto* guest = qemu ? in_.outside_.find(qemu->identity) : nullptr;
            co_return guest ? guest->view : std::nullopt;
        }
        std::optional<host_address> resolve_device(const std::string& path) override {
            const auto address = parse_host_address(path.substr(path.rfind('/') + 1));
            return address.has_value() ? std::optional(*address) : std::nullopt;
        }

    private:
        host_facts functions() const {
            host_facts host;
            for (const auto& [address, device] : in_.outside_.devices) {
                auto& function = host.functions.emplace_back();
                function.address = *parse_host_address(address);
                function.driver = device.driver;
                function.iommu_group = device.group;
            }
            return host;
        }
        simulated_process& in_;
    };

    class directory final : public guests {
    public:
        explicit directory(simulated_process& in) : in_(in) {}

        task<guest_reference> find(std::string text, std::optional<std::uint32_t>) override {
            in_.check();
            if (text.starts_with(monitors)) {
                // Who answers there is seen when it does.
                guest_reference there;
                there.text = text;
                there.monitors = {text};
                there.by_address = true;
                co_return there;
            }
            const auto found = in_.outside_.guests.find(text);
            if (found == in_.outside_.guests.end() || !found->second.runs)
                co_return error{error_code::vm_not_found, text, "no QEMU of that name runs", {}};
            co_return refer(text, found->second);
        }
        boost::asio::awaitable<std::optional<qemu_process>>
        read_process(process_identity which) override {
            in_.check();
            const auto* guest = in_.outside_.find(which);
            if (!guest || !guest->runs) co_return std::nullopt;
            co_return refer({}, *guest).process;
        }
        boost::asio::awaitable<guest_reference>
        find_again(const operation_record& record) override {
            in_.check();
            const auto& text = field(record.subject, "guest");
            const auto* guest = in_.outside_.find(guest_process(record));
            if (guest && guest->runs) co_return refer(text, *guest);
            guest_reference gone;
            gone.text = text;
            gone.identity = guest_process(record);
            co_return gone;
        }
        task<std::unique_ptr<guest_link>> connect(guest_reference guest,
                                                  std::chrono::milliseconds deadline) override {
            co_await in_.pause()();
            auto* state = find_answering(guest);
            if (!state || !state->runs)
                co_return error{error_code::monitor_gone, guest.text, "its QEMU has ended", {}};
            const auto meant = state->identity;
            // A second client is in the queue of the socket until the first has gone; one of a QEMU
            // that is stopped is greeted by nobody.
            const auto end = in_.outside_.time.now() + deadline;
            while ((state->clients > 0 || state->frozen) && state->identity == meant) {
                if (in_.outside_.time.now() >= end && state->frozen)
                    co_return error{error_code::monitor_silent, guest.text, "no greeting", {}};
                if (in_.outside_.time.now() >= end)
                    co_return error{error_code::monitor_busy, guest.text, "somebody holds it", {}};
                co_await in_.outside_.time.wait(std::chrono::milliseconds(10));
                in_.check();
            }
            if (!state->runs || state->identity != meant)
                co_return error{error_code::monitor_gone, guest.text, "its QEMU has ended", {}};
            co_return std::make_unique<fake_guest>(in_.outside_, name_of(meant), in_.pause());
        }
        task<void> find_process(guest_reference& guest, const guest_link& link) override {
            in_.check();
            const auto found = in_.outside_.guests.find(link.address().substr(monitors.size()));
            // Of another host, or another world: nobody here is seen to answer.
            if (found == in_.outside_.guests.end() || found->second.hidden)
                co_return result<void>{};
            if (!guest.by_address) co_return result<void>{};
            const auto process = refer(guest.text, found->second);
            guest.identity = process.identity;
            guest.process = process.process;
            co_return result<void>{};
        }
        result<void> check_owner(const guest_reference& guest,
                                 std::optional<std::uint32_t> uid) override {
            const auto* state = in_.outside_.find(guest.identity);
            if (!state || state->uid == uid.value_or(0)) return {};
            return error{error_code::vm_foreign, guest.text, "it is another user's", {}};
        }

    private:
        inline static const std::string monitors = "qmp:/run/";

        fake_world::guest_state* find_answering(const guest_reference& guest) {
            if (guest.identity.pid != 0) return in_.outside_.find(guest.identity);
            const auto found =
                in_.outside_.guests.find(guest.monitors.front().substr(monitors.size()));
            return found == in_.outside_.guests.end() ? nullptr : &found->second;
        }
        guest_reference refer(const std::string& text, const fake_world::guest_state& guest) const {
            guest_reference found;
            found.text = text;
            found.identity = guest.identity;
            auto& process = found.process.emplace();
            process.identity = guest.identity;
            process.name = name_of(guest.identity);
            process.memlock_soft_bytes = guest.memlock.soft_bytes;
            found.monitors = {"qmp:/run/" + process.name};
            return found;
        }
        std::string name_of(const process_identity& identity) const {
            for (const auto& [name, guest] : in_.outside_.guests)
                if (guest.identity == identity) return name;
            return {};
        }
        simulated_process& in_;
    };

    class book final : public records {
    public:
        explicit book(simulated_process& in) : in_(in) {}

        task<void> save(operation_record& record) override { return save_together({&record}); }
        task<void> save_together(std::vector<operation_record*> all) override {
            in_.check();
            auto& under_way = in_.disk_.under_way;
            auto write_copies = [this, kept = copies_of(all)]() mutable {
                std::vector<operation_record*> each;
                for (auto& record : kept)
                    each.push_back(&record);
                (void)write_all(each);
            };
            const auto ours =
                under_way.insert(under_way.end(), {in_.number_, std::move(write_copies)});
            // Who has ended does not come back from here.
            co_await in_.pause()();
            under_way.erase(ours);
            co_return in_.outside_.faults.save([&] { return write_all(all); });
        }
        task<operation_record> load(std::int64_t number) override {
            co_await in_.pause()();
            if (in_.disk_.load_fails()) co_return simulated_disk::unreadable();
            if (const auto old = in_.old_rows_.find(number); old != in_.old_rows_.end())
                co_return old->second;
            const auto found = in_.disk_.rows.find(number);
            if (found == in_.disk_.rows.end())
                co_return error{error_code::invalid_argument, "", "no such operation", {}};
            co_return found->second;
        }
        task<std::vector<operation_record>> load_open() override {
            co_await in_.pause()();
            if (in_.disk_.load_fails()) co_return simulated_disk::unreadable();
            auto open = in_.disk_.open();
            if (in_.broken_ == mutation::company_hidden)
                std::erase_if(open, [this](const auto& each) {
                    return each.kind == operation_kind::attach &&
                           in_.locks_.contains("device-" + field(each.subject, "device"));
                });
            co_return open;
        }
        task<std::vector<operation_record>> load_assignments() override {
            co_await in_.pause()();
            if (in_.disk_.load_fails()) co_return simulated_disk::unreadable();
            co_return in_.disk_.assignments();
        }
        task<known_request> find_request(std::string id) override {
            in_.check();
            if (in_.disk_.load_fails()) co_return simulated_disk::unreadable();
            const auto found = in_.disk_.keys.find(id);
            if (found == in_.disk_.keys.end()) co_return known_request();
            co_return known_request{in_.disk_.rows.at(found->second.operation.number),
                                    found->second.asked};
        }
        task<void> note_request(std::string id, std::string asked, std::int64_t number) override {
            in_.check();
            if (in_.disk_.load_fails()) co_return simulated_disk::unreadable();
            known_request meant{in_.disk_.rows.at(number), asked};
            if (!in_.disk_.keys.try_emplace(id, std::move(meant)).second)
                co_return error{error_code::journal_unavailable, "", "UNIQUE constraint", {}};
            co_return result<void>{};
        }

    private:
        static std::vector<operation_record>
        copies_of(const std::vector<operation_record*>& records) {
            std::vector<operation_record> copies;
            for (const auto* each : records)
                copies.push_back(*each);
            return copies;
        }
        result<void> write_all(const std::vector<operation_record*>& all) {
            for (const auto* record : all)
                if (auto fine = may_save(*record); fine.has_error()) return fine;
            for (auto* record : all)
                write(*record);
            return {};
        }
        result<void> may_save(const operation_record& record) {
            auto& disk = in_.disk_;
            const auto known = disk.rows.find(record.number);
            const bool stale = known != disk.rows.end() && known->second.version != record.version;
            if (stale && in_.broken_ != mutation::stale_saved)
                return error{error_code::operation_conflict, "", "it is stale", {}};
            const bool key_is_taken = record.number == 0 && !record.request_id.empty() &&
                                      disk.keys.contains(record.request_id);
            if (key_is_taken)
                return error{error_code::journal_unavailable, "", "UNIQUE constraint", {}};
            if (disk.room-- <= 0)
                return error{error_code::journal_unavailable, "journal.db", "the disk is full", {}};
            return {};
        }
        void write(operation_record& record) {
            auto& disk = in_.disk_;
            if (!in_.may_touch(record))
                in_.outside_.violations.push_back("a record was saved without a lease");
            const bool is_new = record.number == 0;
            if (is_new) record.number = ++disk.latest;
            ++record.version;
            in_.store_row(record);
            if (is_new && !record.request_id.empty())
                disk.keys[record.request_id] = {record, record.asked};
        }

        simulated_process& in_;
    };

    class store final : public record_store {
    public:
        explicit store(simulated_process& in) : in_(in) {}
        result<std::shared_ptr<records>> open() override { return open_to_read(); }
        result<std::shared_ptr<records>> open_to_read() override {
            in_.check();
            if (in_.disk_.load_fails()) return simulated_disk::unreadable();
            return std::make_shared<book>(in_);
        }

    private:
        simulated_process& in_;
    };

    class table final : public lease_table {
    public:
        explicit table(simulated_process& in) : in_(in) {}

        result<std::unique_ptr<lease>> try_take(const std::string& name,
                                                lease_holder& other) override {
            in_.check();
            if (in_.locks_.takes++ == in_.locks_.bad_take)
                return error{error_code::journal_unavailable, name, "it cannot be locked", {}};
            if (in_.broken_ == mutation::lease_given_back) return std::make_unique<lease>();
            const auto [place, ours] = in_.locks_.emplace(name, in_.number_);
            if (ours) return std::make_unique<held>(in_, name);
            other = {"process " + std::to_string(place->second), place->second < 0};
            return std::unique_ptr<lease>();
        }
        std::string find_holder(const std::string& name) const override {
            const auto found = in_.locks_.find(name);
            return found == in_.locks_.end() ? "" : "process " + std::to_string(found->second);
        }

    private:
        simulated_process& in_;
    };

    bool holds(const std::string& name) const {
        const auto found = locks_.find(name);
        // A child of ours that hangs has it in our place.
        return found != locks_.end() && (found->second == number_ || found->second < 0);
    }

    /// Nothing is saved but under a lease: of its device, of that device's group (whose way home a
    /// neighbour takes over), or of its guest (whose raised limit another device does).
    bool may_touch(const operation_record& record) const {
        if (broken_ == mutation::lease_given_back || !alive_) return true;
        const auto& device = field(record.subject, "device");
        const auto known = outside_.devices.find(device);
        const auto qemu = guest_process(record);
        return holds("device-" + device) ||
               (known != outside_.devices.end() &&
                holds("group-" + std::to_string(known->second.group))) ||
               holds("guest-" + std::to_string(qemu.pid) + "-" + std::to_string(qemu.start_time));
    }

    void store_row(const operation_record& record) {
        auto& rows = disk_.rows;
        const auto before = rows.find(record.number);
        const auto known = before == rows.end() ? std::nullopt : std::optional(before->second);
        if (broken_ == mutation::fsync_missing) {
            // Each third save takes the others along.
            if (++saves_ % 3 == 0) unsynced_.clear();
            unsynced_.try_emplace(record.number, known);
        }
        if (broken_ == mutation::stale_saved && known && known->version > 2)
            old_rows_.try_emplace(record.number, *known);
        if (broken_ == mutation::order_swapped && known) {
            const auto late = std::exchange(one_late_, record);
            if (late) rows[late->number] = *late;
            return;
        }
        rows[record.number] = record;
    }

    mutation broken_;
    int saves_ = 0;
    std::map<std::int64_t, std::optional<operation_record>> unsynced_;
    std::map<std::int64_t, operation_record> old_rows_;
    std::optional<operation_record> one_late_;
    fake_world& outside_;
    simulated_disk& disk_;
    simulated_locks& locks_;
    int number_;
    bool alive_ = true;
    reader reader_;
    fake_host host_;
    directory vms_;
    store store_;
    table leases_;
    world at_;
    engine shared_{at_};
};

} // namespace vmplug::testing
