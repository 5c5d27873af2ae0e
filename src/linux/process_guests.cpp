#include "linux/process_guests.hpp"

#include "host/read_processes.hpp"

namespace vmplug {

using boost::asio::awaitable;

awaitable<result<guest_reference>> process_guests::find(std::string text,
                                                        std::optional<std::uint32_t> uid) {
    auto work = [this, text = std::move(text), uid] { return find_guest(files_, text, uid); };
    co_return co_await off_the_loop(worker_, std::move(work));
}

awaitable<result<guest_reference>> process_guests::find_to_speak(std::string text) {
    auto work = [this, text = std::move(text)] { return vmplug::find_to_speak(files_, text); };
    co_return co_await off_the_loop(worker_, std::move(work));
}

awaitable<std::optional<qemu_process>> process_guests::read_process(process_identity which) {
    auto work = [this, which] {
        auto process = vmplug::read_process(files_, which.pid);
        if (process && process->identity != which) process.reset();
        return process;
    };
    co_return co_await off_the_loop(worker_, std::move(work));
}

awaitable<guest_reference> process_guests::find_again(const operation_record& record) {
    auto work = [this, record] { return guest_of(files_, record); };
    co_return co_await off_the_loop(worker_, std::move(work));
}

awaitable<result<std::unique_ptr<guest_link>>>
process_guests::connect(guest_reference guest, std::chrono::milliseconds greeting_deadline) {
    co_return co_await connect_guest(std::move(guest), access(greeting_deadline));
}

awaitable<result<void>> process_guests::find_process(guest_reference& guest,
                                                     const guest_link& link) {
    if (!guest.by_address) co_return result<void>();
    auto work = [this, found = guest,
                 socket = link.descriptor()]() mutable -> result<guest_reference> {
        const auto done = vmplug::find_process(files_, found, socket);
        if (done.has_error()) return done.error();
        return std::move(found);
    };
    auto found = co_await off_the_loop(worker_, std::move(work));
    if (found.has_error()) co_return found.error();
    guest = std::move(*found);
    co_return result<void>();
}

result<void> process_guests::check_owner(const guest_reference& guest,
                                         std::optional<std::uint32_t> uid) {
    return vmplug::check_owner(guest, uid);
}

} // namespace vmplug
