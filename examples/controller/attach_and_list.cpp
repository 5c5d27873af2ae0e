// vmplug's library in a program of your own: what this host has, what its guests offer, and an
// attach.
//
//   attach_and_list                  devices of this host, and all guests' ports, asked at once
//   attach_and_list VM               that guest's ports
//   attach_and_list VM DEVICE ID     attaches first, then lists
//
// State is kept in VMPLUG_STATE_DIR, else where vmplug keeps it. Exit codes are vmplug's.
#include <vmplug/controller.hpp>

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/signal_set.hpp>

#include <algorithm>
#include <csignal>
#include <cstdlib>
#include <exception>
#include <iostream>
#include <stop_token>
#include <string>
#include <utility>
#include <vector>

namespace {

using boost::asio::awaitable;

/// Names and texts come from guests and other users: what a terminal would obey is not shown.
std::string printable(std::string text) {
    std::ranges::replace_if(
        text, [](char c) { return c < ' ' || c > '~'; }, '?');
    return text;
}

void print_error(const vmplug::error& failure) {
    std::cerr << "attach_and_list: " << vmplug::code_name(failure.code) << ": "
              << printable(failure.where) << ": " << printable(failure.text) << "\n  "
              << printable(failure.remedy.empty() ? std::string(vmplug::explain(failure.code).cause)
                                                  : failure.remedy)
              << "\n";
}

void print_devices(const vmplug::host_facts& host) {
    for (const auto& function : host.functions) {
        std::cout << vmplug::format_address(function.address) << "  "
                  << (function.driver.empty() ? "no driver" : function.driver);
        if (function.iommu_group) std::cout << "  group " << *function.iommu_group;
        for (const auto& netdev : function.netdevs)
            std::cout << "  " << printable(netdev);
        std::cout << "\n";
    }
}

/// Asks a guest for its ports and prints them.
awaitable<int> list_ports(const vmplug::controller& control, std::string guest) {
    const auto seen = co_await control.query_guest(std::move(guest));
    if (seen.has_error()) {
        print_error(seen.error());
        co_return vmplug::exit_code(vmplug::outcome::refused);
    }
    for (const auto& port : seen->facts.ports) {
        std::cout << printable(seen->facts.name) << "  " << printable(port.bus) << "  ";
        if (!port.takes_hot_add)
            std::cout << printable(port.why_not);
        else
            std::cout << (port.is_free() ? "free" : "occupied");
        for (const auto& each : port.occupants)
            std::cout << " " << printable(each);
        std::cout << "\n";
    }
    co_return 0;
}

/// Attaches a device. A refusal has all reasons at once; what failed part-way has one.
awaitable<int> attach(vmplug::controller& control, std::string guest, std::string device,
                      std::string id, std::stop_token stop) {
    vmplug::operation_options options;
    options.stop = std::move(stop);
    options.progress = [](const std::string& text) { std::cerr << printable(text) << "\n"; };
    vmplug::attach_request request;
    request.id = std::move(id);
    const auto report = co_await control.attach(std::move(guest), std::move(device),
                                                std::move(request), std::move(options));
    for (const auto& refusal : report.refusals())
        print_error(refusal);
    if (report.record().failure) print_error(*report.record().failure);
    const auto ended = report.ended().value_or(vmplug::outcome::unknown);
    std::cerr << "attach: " << vmplug::outcome_name(ended) << "\n";
    if (ended == vmplug::outcome::stuck)
        for (const auto& command : vmplug::manual_undo(report.record()))
            std::cerr << "  by hand: " << printable(command) << "\n";
    co_return vmplug::exit_code(ended);
}

/// Runs tasks beside each other in one thread, and keeps the worst of their exit codes.
class program {
public:
    /// A signal asks an operation to stop, and it undoes what it did. It is never just cancelled.
    program() {
        signals_.async_wait([this](boost::system::error_code aborted, int) {
            if (!aborted) stop_.request_stop();
        });
    }

    void start(awaitable<int> task) {
        ++running_;
        boost::asio::co_spawn(io_, std::move(task), [this](std::exception_ptr thrown, int code) {
            if (thrown) failure_ = thrown;
            worst_ = std::max(worst_, code);
            if (--running_ == 0) signals_.cancel();
        });
    }

    int run() {
        if (running_ == 0) return 0;
        io_.run();
        if (failure_) std::rethrow_exception(failure_);
        return worst_;
    }

    std::stop_token stop() const { return stop_.get_token(); }

private:
    boost::asio::io_context io_{1};
    boost::asio::signal_set signals_{io_, SIGINT, SIGTERM};
    std::exception_ptr failure_;
    int running_ = 0;
    int worst_ = 0;
    std::stop_source stop_;
};

vmplug::controller_options make_options() {
    vmplug::controller_options options;
    if (const char* directory = std::getenv("VMPLUG_STATE_DIR"))
        options.state_directory = directory;
    options.invoked_as = "attach_and_list";
    return options;
}

awaitable<int> attach_and_list(vmplug::controller& control, std::string guest, std::string device,
                               std::string id, std::stop_token stop) {
    const int code =
        co_await attach(control, guest, std::move(device), std::move(id), std::move(stop));
    if (code != 0) co_return code;
    co_return co_await list_ports(control, std::move(guest));
}

awaitable<int> tell(vmplug::error failure) {
    print_error(failure);
    co_return vmplug::exit_code(vmplug::outcome::refused);
}

/// Each guest is asked for by its process: names need not be unique.
void list_all(program& running, const vmplug::controller& control) {
    print_devices(control.read_host(false, false));
    const auto qemus = control.read_qemus(false);
    if (qemus.has_error()) return running.start(tell(qemus.error()));
    for (const auto& qemu : *qemus)
        running.start(list_ports(control, std::to_string(qemu.identity.pid)));
}

int run(const std::vector<std::string>& words) {
    program running;
    vmplug::controller control(make_options());
    if (words.empty()) list_all(running, control);
    if (words.size() == 1) running.start(list_ports(control, words[0]));
    if (words.size() == 3)
        running.start(attach_and_list(control, words[0], words[1], words[2], running.stop()));
    return running.run();
}

} // namespace

int main(int argc, char** argv) {
    const std::vector<std::string> words(argv + 1, argv + argc);
    if (words.size() > 3 || words.size() == 2) {
        std::cerr << "usage: attach_and_list [VM [DEVICE ID]]\n";
        return 2;
    }
    try {
        return run(words);
    } catch (const std::exception& failure) {
        std::cerr << "attach_and_list: " << failure.what() << "\n";
        return 1;
    }
}
