#pragma once

#include "command/complete/candidate.hpp"
#include "command/typing/qmp_schema.hpp"

#include <vmplug/controller.hpp>
#include <vmplug/monitor.hpp>
#include <vmplug/reconnect_policy.hpp>

#include <boost/asio/steady_timer.hpp>

#include <map>
#include <memory>
#include <stop_token>

namespace vmplug {

/// A guest that is open in the REPL: its monitor, and what completion and typing need of it,
/// fetched when it is first wanted.
class guest_connection {
public:
    guest_connection(const controller& control, std::string name);

    const std::string& name() const { return name_; }
    monitor* connection() { return monitor_ && monitor_->is_open() ? monitor_.get() : nullptr; }

    /// Connects when it is not connected, or waits for who is doing so already.
    /// Errors: those of `controller::connect`.
    boost::asio::awaitable<result<monitor*>> open();

    /// For who listens to it: the connection that there is, or else the next, which is made when
    /// it is time to try again, or by somebody who wants it before. Nullptr when it was closed
    /// here. One may wait at a time.
    boost::asio::awaitable<monitor*> reopen();

    /// Waits while somebody connects.
    boost::asio::awaitable<void> settled();

    /// Who waits for events ends; nobody connects any more.
    void close();
    bool is_closed() const { return closing_.stop_requested(); }
    std::stop_token closing() const { return closing_.get_token(); }

    bool heard = false; ///< somebody shows its events

    /// Empty for a QEMU before 2.5. Errors: why it cannot be asked now.
    boost::asio::awaitable<result<const qmp_schema*>> schema();

    /// The same, empty also when it cannot be asked: for what does without.
    boost::asio::awaitable<const qmp_schema*> known_schema();

    /// A device model's properties; nullptr when QEMU does not tell.
    boost::asio::awaitable<const device_model*> model(std::string type);

    /// The models of which the guest has a device, and vfio-pci.
    boost::asio::awaitable<const std::vector<std::string>*> models();

    /// Commands of the human monitor ("device_add"), or of one of them that has several ("info"),
    /// as its `help` lists them.
    boost::asio::awaitable<std::vector<candidate>> hmp_commands(std::string below);

    /// The ids of the devices that have one.
    boost::asio::awaitable<std::vector<std::string>> device_ids();

private:
    void note_loss();
    void wake_listener();
    template <class Command>
    boost::asio::awaitable<result<typename Command::reply>> ask(Command command);

    const controller& control_;
    std::string name_;
    std::unique_ptr<monitor> monitor_;
    std::stop_source closing_;
    std::shared_ptr<boost::asio::steady_timer> opening_; ///< while one connects: cancelled after it
    reconnect_policy again_;
    std::shared_ptr<boost::asio::steady_timer> pause_; ///< of who listens, until the next attempt
    std::unique_ptr<qmp_schema> schema_;
    std::map<std::string, device_model> models_;
    std::vector<std::string> model_names_;
};

} // namespace vmplug
