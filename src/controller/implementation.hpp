#pragma once

#include "controller/guest_access.hpp"
#include "controller/leases.hpp"
#include "controller/linux_host_control.hpp"
#include "journal/journal.hpp"
#include "plan/plan_attach.hpp"

#include <vmplug/controller.hpp>

namespace vmplug {

/// Nothing was touched.
operation_report refusal(error why);
operation_report refusal(plan planned);

/// An operation of the journal that cannot be believed: nothing was done with it.
operation_report disbelieved(operation_record record, error why);

/// An operation of the journal that stays as it is, and why.
operation_report left_alone(operation_record record, error why);

/// How an operation of the journal has ended.
operation_report settled(operation_record record);

/// Whether `record` is about the device `id` of the guest that a person calls `guest`.
bool is_for(const operation_record& record, const std::string& guest, const std::string& id);

/// A device that is ours for one operation, and the journal to write it to.
struct held_device {
    host_address address;
    journal records;
    leases held;
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
    std::int64_t releases = 0;        ///< the operation that it takes back
    guest_reference guest;            ///< not needed for what concerns the host alone
    std::unique_ptr<guest_link> link; ///< nullptr: made when it is needed
    std::chrono::milliseconds add_deadline = attach_request().add_deadline;
    std::string busy = {}; ///< of a dry run: who works on the device
};

/// The use cases, a file each: attach.cpp, detach.cpp, bind.cpp, recover.cpp.
struct controller::implementation {
    template <class T>
    using task = boost::asio::awaitable<result<T>>;
    using report_task = boost::asio::awaitable<operation_report>;

    explicit implementation(controller_options chosen);

    controller_options options;
    file_tree files;
    linux_host_control host;
    process_identity self;

    // What all of them need.
    leases new_leases() const;

    /// To be written to; for a dry run, which makes no file, to be read alone.
    result<journal> open_journal(bool dry_run) const;

    /// Resolves what a person calls the device, opens the journal and takes the device's lease,
    /// without waiting for it. A dry run takes nothing and makes no file.
    result<held_device> hold_device(const std::string& device, bool dry_run) const;

    /// The same for a device that may have left the machine, as long as a record tells of it.
    result<held_device> hold_recorded_device(const std::string& device, bool dry_run) const;
    result<held_device> hold(const host_facts& known, host_address address, bool dry_run) const;

    /// Takes the leases of an operation that is on record: the device's, and its guest's when it
    /// has one.
    task<void> hold_again(leases& held, operation_record record) const;

    /// Who works on the device of an operation that is on record; empty: nobody.
    std::string find_holder(const operation_record& record) const;
    task<void> take_turn(leases& held, guest_reference guest) const;

    /// The host and the journal as they are now. Under the leases, it stays true until they are
    /// given back.
    result<situation> look_around(journal& records) const;
    result<situation> look_around(held_device& ours) const;
    task<std::unique_ptr<guest_link>> connect(guest_reference guest) const;

    /// Refuses, tells what would be done, or does it.
    report_task carry_out(journal& records, work wanted, bool dry_run);

    /// The earlier operation of a request id; number 0 when there is none.
    /// Errors: `invalid_argument` when that one was asked to do something else.
    result<operation_record> find_earlier(journal& records, const request_key& key) const;

    /// An earlier operation of the same request id, settled first when its process has died.
    report_task repeat(journal& records, operation_record earlier, bool dry_run);

    task<std::unique_ptr<guest_link>> reach(leases* held, guest_reference& guest,
                                            std::optional<std::uint32_t> uid);
    report_task attach(held_device& ours, guest_reference guest, attach_request request,
                       request_key key, bool dry_run);

    result<operation_record> find_assignment(journal& records, const std::string& guest,
                                             const std::string& id);
    report_task detach(journal& records, operation_record attached, detach_request request,
                       request_key key, bool dry_run);
    report_task go_on_detaching(journal& records, operation_record record, detach_request request,
                                request_key key, bool dry_run);
    result<void> keep_for_others(journal& records, const operation_record& attached,
                                 const situation& seen, bool keep_bound) const;

    report_task recover_one(journal& records, operation_record record, bool dry_run);
    report_task preview(operation_record record, journal& records);
    report_task resume(journal& records, operation_record record);
    boost::asio::awaitable<bool> has_lost(operation_record attached);
    report_task take_home(journal& records, operation_record attached, bool dry_run);
};

} // namespace vmplug
