#pragma once

#include "engine/engine.hpp"
#include "engine/held_leases.hpp"
#include "engine/operation_machine.hpp"
#include "engine/operation_stop.hpp"
#include "judge/situation.hpp"
#include "plan/plan_attach.hpp"

#include <vmplug/guest_view.hpp>
#include <vmplug/operation_options.hpp>
#include <vmplug/operation_report.hpp>

namespace vmplug {

operation_report refusal(error why);

/// Whether `record` is about the device `id` of the guest that a person calls `guest`.
bool is_for(const operation_record& record, const std::string& guest, const std::string& id);

/// Whether an operation has a guest, and not the host alone.
bool concerns_guest(const operation_record& record);

/// A device that is ours for one operation, and the records to write it to.
struct held_device {
    host_address address;
    std::shared_ptr<records> book;
    held_leases held;
    std::string busy = {}; ///< of a dry run, which holds nothing: who works on it
};

/// A caller's key for a request, and the request in words: the same key has to ask for the same.
struct request_key {
    std::string id; ///< empty: none
    std::string asked;
};

/// What was planned, and all that is needed to run it.
struct work {
    operation_kind kind{};
    plan planned;
    request_key request;
    std::int64_t releases = 0; ///< the operation that it takes back
    std::string busy = {};     ///< of a dry run: who works on the device
};

/// One operation, from the request to its report: what attach.cpp, detach.cpp, bind.cpp and
/// recover.cpp do, on what use_case.cpp gives all of them. It owns all that belongs to one
/// operation alone, so that one world serves as many at once as there are.
///
/// Lifetime: of the coroutine that runs it.
class use_case {
public:
    template <class T>
    using task = boost::asio::awaitable<result<T>>;
    using report_task = boost::asio::awaitable<operation_report>;

    use_case(engine& shared, operation_options chosen)
        : shared_(shared), at_(shared.at), options_(std::move(chosen)), stop_(options_.stop) {}

    report_task attach(std::string guest, std::string device, attach_request request);
    report_task detach(std::string guest, detach_request request);
    report_task bind(std::string device, bind_request request);
    report_task release(std::string device);
    task<std::vector<operation_report>> recover();

    /// The same for one operation.
    report_task settle(std::int64_t number);

    /// Asks a guest what it has.
    task<guest_view> query_guest(std::string guest);

private:
    // What all of them need.
    /// To be written to; for a dry run, which makes no file, to be read alone.
    result<std::shared_ptr<records>> open_records() const;

    /// Resolves what a person calls the device, opens the records and takes the device's lease,
    /// without waiting for it. A dry run takes nothing and makes no file.
    task<held_device> hold_device(std::string device) const;

    /// The same for a device that may have left the machine, as long as a record tells of it.
    task<held_device> hold_recorded_device(std::string device) const;
    result<held_device> hold(const host_facts& known, host_address address) const;

    /// Takes the leases of an operation that is on record: the device's, and its guest's when it
    /// has one.
    task<void> hold_again(held_leases& held, operation_record record) const;

    /// Who works on the device of an operation that is on record; empty: nobody.
    boost::asio::awaitable<std::string> find_holder(const operation_record& record) const;
    /// To act; for a dry run, to look.
    task<void> take_turn(held_leases& held, guest_reference guest) const;

    /// The host and the records as they are now. Under the leases, it stays true until they are
    /// given back.
    task<situation> look_around(records& book) const;
    task<situation> look_around(held_device& ours) const;
    task<guest_facts> survey(guest_link& link) const;

    /// Refuses, tells what would be done, or does it.
    report_task carry_out(records& book, const held_leases& held, work wanted);

    /// For whoever waits for guests that take their time.
    void note_if_pending(const operation_record& ended);

    /// The earlier operation of a request id; number 0 when there is none.
    /// Errors: `invalid_argument` when that one was asked to do something else.
    task<operation_record> find_earlier(records& book, const request_key& key) const;

    /// An earlier operation of the same request id, settled first when its process has died.
    report_task repeat(records& book, operation_record earlier);

    /// Connects in the guest's turn, and finds out whose guest it is before it is asked for
    /// anything.
    task<guest_link*> reach(held_leases& held, guest_reference& guest,
                            std::optional<std::uint32_t> uid);
    report_task attach_held(held_device& ours, guest_reference guest, attach_request request,
                            request_key key);

    task<operation_record> find_assignment(records& book, std::string guest, std::string id);
    report_task detach_held(records& book, held_leases& held, operation_record attached,
                            detach_request request, request_key key);
    report_task go_on_detaching(records& book, operation_record record, detach_request request,
                                request_key key);
    class sharing;
    task<std::vector<operation_record>> left_by(records& book,
                                                const operation_record& detach) const;

    /// What a caller brings to an operation that is open: how long it waits, and its key.
    struct patience {
        std::chrono::milliseconds wait_guest;
        request_key key;
    };

    using optional_report = std::optional<operation_report>;
    using settling = std::function<boost::asio::awaitable<optional_report>(operation_record)>;
    boost::asio::awaitable<std::vector<operation_report>>
    settle_all(std::vector<operation_record> records, const settling& settle);
    report_task recover_one(records& book, operation_record record,
                            std::optional<patience> changed = {});
    report_task preview(operation_record record);
    report_task resume(records& book, const held_leases& held, operation_record record);
    boost::asio::awaitable<bool> has_lost(operation_record attached);
    report_task take_home(records& book, operation_record attached);

    /// From here on the time of the operation runs.
    boost::asio::awaitable<void> begin_time();
    call_limit patient(std::chrono::milliseconds most) const { return {most, stop_.token()}; }

    engine& shared_;
    world& at_;
    operation_options options_;
    operation_stop stop_;
};

} // namespace vmplug
