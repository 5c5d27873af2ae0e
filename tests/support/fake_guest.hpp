#pragma once

#include "port/guest_link.hpp"
#include "support/fake_world.hpp"
#include "support/qapi_schema.hpp"

#include <nlohmann/json.hpp>

namespace vmplug::testing {

/// What is heard of a device since this was made.
class fake_watch final : public device_watch {
public:
    fake_watch(fake_world& world, fake_world::guest_state& guest, std::string qdev_id,
               std::function<boost::asio::awaitable<void>()> pause)
        : world_(world), guest_(guest), qdev_id_(std::move(qdev_id)), pause_(std::move(pause)),
          told_(guest.told), refusals_(guest.refusals[qdev_id_]) {}

    boost::asio::awaitable<guest_news> next(call_limit limit) override {
        if (guest_.told == told_ && !guest_.hangs_up && !limit.stop().stop_requested()) {
            virtual_clock::signal& heard = guest_.changed;
            const std::stop_callback wake(limit.stop(), [&heard] { heard.raise(); });
            co_await world_.time.wait_for(limit.most(), &heard);
        }
        co_await pause_();
        if (std::exchange(told_, guest_.told) == guest_.told) co_return guest_news::nothing;
        const auto before = std::exchange(refusals_, guest_.refusals[qdev_id_]);
        co_return refusals_ == before ? guest_news::changed : guest_news::refused;
    }

private:
    fake_world& world_;
    fake_world::guest_state& guest_;
    std::string qdev_id_;
    std::function<boost::asio::awaitable<void>()> pause_;
    int told_;
    int refusals_;
};

/// A connection to the QEMU that runs now: another one of the same name is not at its end.
class fake_guest final : public guest_link {
public:
    fake_guest(fake_world& world, std::string name,
               std::function<boost::asio::awaitable<void>()> pause)
        : world_(world), name_(std::move(name)), pause_(std::move(pause)),
          identity_(guest().identity), hang_ups_(guest().hang_ups), closed_(guest().hangs_up) {
        ++guest().greeted;
        if (!closed_) ++guest().clients;
    }
    ~fake_guest() override {
        if (is_served()) --guest().clients;
    }

    task<guest_facts> survey(call_limit limit) override {
        const auto served = co_await wait_until_served(limit);
        if (served.has_error()) co_return served.error();
        guest_facts facts;
        facts.name = name_;
        facts.running = !guest().paused;
        facts.vfio_pci = device_model{"vfio-pci", {}};
        for (int i = 0; i < 4; ++i) {
            auto& port = facts.ports.emplace_back();
            port.bus = "rp" + std::to_string(i);
            port.takes_hot_add = port.single_slot = true;
            for (const auto& [id, bus] : guest().buses)
                if (bus == port.bus) port.occupants.push_back(id);
        }
        for (const auto& [id, host] : guest().devices) {
            auto& device = facts.devices.emplace_back();
            device.qdev_id = id;
            device.host = guest().by_paths ? "/sys/bus/pci/devices/" + host : host;
            device.type = "vfio-pci";
            device.bus = guest().buses[id];
        }
        co_return facts;
    }

    task<void> device_add(std::string arguments, call_limit limit) override {
        auto served = co_await wait_until_served(limit);
        if (served.has_error()) {
            do_when_thawed([arguments](fake_guest& late) { (void)late.add(arguments); });
            co_return served;
        }
        if (guest().add_takes.count() > 0) co_return co_await add_slowly(arguments, limit);
        co_return world_.faults.act("device_add", error_code::timed_out,
                                    [&] { return add(arguments); });
    }

    task<void> device_del(std::string qdev_id, call_limit limit) override {
        auto served = co_await wait_until_served(limit);
        if (served.has_error()) {
            do_when_thawed([qdev_id](fake_guest& late) { (void)late.remove(qdev_id); });
            co_return served;
        }
        co_return world_.faults.act("device_del", error_code::timed_out,
                                    [&] { return remove(qdev_id); });
    }

    task<guest_sight> look(std::string qdev_id, call_limit limit) override {
        const auto served = co_await wait_until_served(limit);
        if (served.has_error()) co_return served.error();
        if (world_.faults.loses_answer())
            co_return error{error_code::timed_out, "qom-list", "no answer came", {}};
        const bool there = guest().devices.contains(qdev_id);
        // The sight of a device that the guest is about to give back.
        if (there && guest().rejects) {
            guest().devices.erase(qdev_id);
            guest().buses.erase(qdev_id);
        }
        if (!there || guest().rejects) co_return guest_sight::gone;
        const bool boots = world_.time.now() < guest().boots_until;
        co_return boots ? guest_sight::added : guest_sight::configured;
    }

    std::unique_ptr<device_watch> watch(std::string qdev_id) override {
        return std::make_unique<fake_watch>(world_, guest(), std::move(qdev_id), pause_);
    }
    std::string address() const override { return "qmp:/run/" + name_; }
    bool is_open() const override {
        const auto& now = world_.guests.at(name_);
        return now.runs && is_served();
    }

private:
    /// QEMU has it for a client.
    bool is_served() const {
        const auto& now = world_.guests.at(name_);
        return now.identity == identity_ && now.hang_ups == hang_ups_ && !closed_;
    }
    fake_world::guest_state& guest() { return world_.guests.at(name_); }
    static error lost() {
        return {error_code::connection_lost, "QMP", "QEMU closed the monitor", {}};
    }

    /// What was sent to a QEMU that is stopped is done when it goes on.
    void do_when_thawed(std::function<void(fake_guest&)> what) {
        auto& now = guest();
        if (!now.frozen || now.identity != identity_) return;
        now.queued.push_back([world = &world_, name = name_, pause = pause_, what] {
            fake_guest late(*world, name, pause);
            what(late);
        });
    }

    boost::asio::awaitable<void> wait_while_frozen(call_limit limit) {
        const auto end = world_.time.now() + limit.most();
        virtual_clock::signal& thawed = guest().thawed;
        const std::stop_callback wake(limit.stop(), [&thawed] { thawed.raise(); });
        while (guest().frozen && is_open() && world_.time.now() < end &&
               !limit.stop().stop_requested()) {
            const auto left = end - world_.time.now();
            co_await world_.time.wait_for(
                std::chrono::duration_cast<std::chrono::milliseconds>(left), &thawed);
        }
    }

    /// QEMU takes one command after another. Errors: the limit came first.
    task<void> wait_until_served(call_limit limit) {
        co_await pause_();
        co_await wait_while_frozen(limit);
        const auto left = std::chrono::duration_cast<std::chrono::milliseconds>(guest().busy_until -
                                                                                world_.time.now());
        if (left.count() > 0) co_await world_.time.wait(std::min(left, limit.most()), limit.stop());
        if (!is_open()) co_return lost();
        if (!guest().frozen && world_.time.now() >= guest().busy_until) co_return result<void>();
        if (limit.stop().stop_requested())
            co_return error{error_code::cancelled, "QMP", "the call was given up", {}};
        co_return error{error_code::timed_out, "QMP", "no answer came", {}};
    }

    /// It goes on when nobody waits for it any more.
    task<void> add_slowly(std::string arguments, call_limit limit) {
        auto& now = guest();
        now.busy_until = world_.time.now() + now.add_takes;
        const auto added = std::make_shared<result<void>>();
        world_.time.later(now.add_takes, [this_guest = &now, who = identity_, world = &world_,
                                          name = name_, pause = pause_, arguments, added] {
            if (this_guest->runs && this_guest->identity == who)
                *added = fake_guest(*world, name, pause).add(arguments);
        });
        auto served = co_await wait_until_served(limit);
        if (served.has_error()) co_return served;
        co_return *added;
    }

    result<void> add(const std::string& text) {
        const auto arguments = nlohmann::json::parse(text);
        static const qapi_schema schema("7.2");
        if (auto offence = schema.offence_of_arguments("device_add", arguments); !offence.empty())
            world_.violations.push_back(std::move(offence));
        const std::string id = arguments.at("id");
        const std::string host = "0000:" + arguments.at("host").get<std::string>();
        const error refusal{error_code::command_failed, "device_add", "GenericError: no", {}};
        if (guest().refuses || guest().devices.contains(id)) return refusal;
        if (world_.is_in_guest(host)) world_.violations.emplace_back("a device was added twice");
        // It may have been pulled out: "no such host device".
        if (!world_.devices.contains(host)) return refusal;
        const auto group = world_.devices.at(host).group;
        for (const auto& [address, device] : world_.devices)
            if (device.group == group && !device.driver.empty() && device.driver != "vfio-pci")
                return refusal;
        if (world_.devices.at(host).driver != "vfio-pci") return refusal;
        // "vfio_dma_map: Cannot allocate memory".
        if (guest().memlock.soft_bytes <= fake_world::first_memlock_bytes) return refusal;
        guest().devices[id] = host;
        guest().buses[id] = arguments.value("bus", "");
        return {};
    }

    /// The answer says only that the guest was asked.
    result<void> remove(const std::string& id) {
        if (!guest().devices.contains(id)) return {};
        guest().leaving.insert(id);
        // One that boots has missed the button; a reset completes it all the same.
        if (world_.time.now() < guest().boots_until) return {};
        world_.time.later(guest().lets_go_after.value_or(world_.latency() * 10),
                          [&world = world_, name = name_, who = identity_] {
                              auto& state = world.guests.at(name);
                              if (state.runs && state.identity == who) world.let_go(state);
                          });
        return {};
    }

    fake_world& world_;
    std::string name_;
    std::function<boost::asio::awaitable<void>()> pause_;
    process_identity identity_;
    int hang_ups_;
    bool closed_; ///< at once
};

} // namespace vmplug::testing
