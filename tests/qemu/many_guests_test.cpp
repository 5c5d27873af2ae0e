// Many real QEMUs at once, attached by one engine: guests, connections, records and leases are the
// real ones. The host's half is simulated, and so is VFIO, which QEMU wants a real IOMMU for: an
// e1000e is added in the device's place, after the time that QEMU takes to lock a guest's memory.

#include "engine/use_case.hpp"
#include "host/read_processes.hpp"
#include "journal/journal_store.hpp"
#include "linux/process_guests.hpp"
#include "support/qemu_process.hpp"
#include "support/simulated_world.hpp"
#include "system/file_leases.hpp"
#include "system/machine_clock.hpp"

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/io_context.hpp>
#include <doctest/doctest.h>
#include <nlohmann/json.hpp>

#include <filesystem>
#include <numeric>
#include <thread>

#include <time.h>
#include <unistd.h>

using namespace vmplug;
using namespace vmplug::testing;
using boost::asio::awaitable;
using std::chrono::duration_cast;
using std::chrono::milliseconds;

namespace {

constexpr int count = 20;

/// Of a small guest: it takes minutes for one of 60 GB.
constexpr milliseconds locking{400};

/// Where those that are attached wait for each other, in the middle of device_add: who is attached
/// only after another has been never comes.
struct gathering {
    static constexpr std::chrono::seconds patience{60};

    int wanted = 1;
    int come = 0;
    bool missed = false;

    awaitable<void> join(vmplug::clock& time) {
        ++come;
        for (const auto end = time.now() + patience; come < wanted && !missed;) {
            if (time.now() >= end) missed = true;
            co_await time.wait(milliseconds(5));
        }
    }
};

/// A guest whose QEMU has the VFIO that this machine lacks.
class with_vfio final : public guest_link {
public:
    with_vfio(std::unique_ptr<guest_link> real, vmplug::clock& time, gathering& place)
        : real_(std::move(real)), time_(time), place_(place) {}

    task<guest_facts> survey(call_limit limit) override { return real_->survey(std::move(limit)); }
    task<void> device_add(std::string arguments, call_limit limit) override {
        auto object = nlohmann::json::parse(arguments);
        REQUIRE(object.at("driver") == "vfio-pci");
        object["driver"] = "e1000e";
        object.erase("host");
        co_await place_.join(time_);
        co_await time_.wait(locking);
        co_return co_await real_->device_add(object.dump(), std::move(limit));
    }
    task<void> device_del(std::string qdev_id, call_limit limit) override {
        return real_->device_del(std::move(qdev_id), std::move(limit));
    }
    task<guest_sight> look(std::string qdev_id, call_limit limit) override {
        return real_->look(std::move(qdev_id), std::move(limit));
    }
    std::unique_ptr<device_watch> watch(std::string qdev_id) override {
        return real_->watch(std::move(qdev_id));
    }
    std::string address() const override { return real_->address(); }
    int descriptor() const override { return real_->descriptor(); }
    bool is_open() const override { return real_->is_open(); }

private:
    std::unique_ptr<guest_link> real_;
    vmplug::clock& time_;
    gathering& place_;
};

/// The QEMUs of this host.
class guests_with_vfio final : public guests {
public:
    guests_with_vfio(vmplug::clock& time, gathering& place)
        : real_(file_tree(), open_, true), time_(time), place_(place) {}

    task<guest_reference> find(std::string text, std::optional<std::uint32_t> uid) override {
        return real_.find(std::move(text), uid);
    }
    awaitable<std::optional<vmplug::qemu_process>> read_process(process_identity which) override {
        return real_.read_process(std::move(which));
    }
    awaitable<guest_reference> find_again(const operation_record& record) override {
        return real_.find_again(record);
    }
    task<std::unique_ptr<guest_link>> connect(guest_reference guest,
                                              milliseconds deadline) override {
        auto connected = co_await real_.connect(std::move(guest), deadline);
        if (connected.has_error()) co_return connected.error();
        co_return std::make_unique<with_vfio>(std::move(*connected), time_, place_);
    }
    task<void> find_process(guest_reference& guest, const guest_link& link) override {
        return real_.find_process(guest, link);
    }
    result<void> check_owner(const guest_reference& guest,
                             std::optional<std::uint32_t> uid) override {
        return real_.check_owner(guest, uid);
    }

private:
    open_monitors open_;
    process_guests real_;
    vmplug::clock& time_;
    gathering& place_;
};

/// Takes away what it made.
struct directory {
    std::string path;
    directory() {
        char made[] = "/tmp/vmplug-many.XXXXXX";
        path = ::mkdtemp(made);
    }
    directory(const directory&) = delete;
    directory& operator=(const directory&) = delete;
    ~directory() { std::filesystem::remove_all(path); }
};

/// QEMUs with two free ports each, and two devices for each of them.
class crowd {
public:
    crowd() {
        for (int i = 0; i < count; ++i) {
            qemus_.push_back(std::make_unique<::qemu_process>(
                std::vector<std::string>{"-device", "pcie-root-port,id=rp1,chassis=2,slot=2"}));
            const auto identity = read_identity(file_tree(), qemus_.back()->pid());
            REQUIRE(identity);
            outside_.guests["vm" + std::to_string(i)].identity = *identity;
            for (const char* round : {"01", "02"})
                outside_.devices[device(round, i)] = {
                    "e1000e", {}, i * 2 + round[1] % 2, "e1000e", ""};
        }
    }

    /// Whether the last that were attached were all in the middle of it at one time.
    bool have_met() const { return !place_.missed; }

    /// What all of them, and we, have had of the processors.
    milliseconds processor_time() const {
        auto sum = processor_time_of(::getpid());
        for (const auto& each : qemus_)
            sum += processor_time_of(each->pid());
        return sum;
    }

    /// Attaches one to each of these guests, at once. Returns how long each of them took, of which
    /// the longest is how long all of them did.
    std::vector<milliseconds> attach(const char* round, int first, int last) {
        std::vector<milliseconds> took;
        int running = last - first;
        place_ = {running};
        const auto begin = time_.now();
        for (int i = first; i < last; ++i)
            boost::asio::co_spawn(
                io_, attach_one(round, i), [&](std::exception_ptr, outcome ended) {
                    --running;
                    CHECK(ended == outcome::done);
                    took.push_back(duration_cast<milliseconds>(time_.now() - begin));
                });
        // The simulated kernel has a time of its own, in which nothing lasts.
        while (running > 0) {
            virtual_.run();
            io_.restart();
            io_.run_one();
        }
        return took;
    }

private:
    static milliseconds processor_time_of(pid_t pid) {
        clockid_t its{};
        timespec used{};
        REQUIRE(::clock_getcpuclockid(pid, &its) == 0);
        REQUIRE(::clock_gettime(its, &used) == 0);
        return milliseconds(used.tv_sec * 1000 + used.tv_nsec / 1'000'000);
    }

    static std::string device(const char* round, int i) {
        char text[16];
        std::snprintf(text, sizeof text, "0000:%s:%02x.0", round, i);
        return text;
    }

    awaitable<outcome> attach_one(const char* round, int i) {
        use_case running(shared_, {});
        attach_request request;
        request.id = std::string("nic") + round;
        request.wait_guest = milliseconds(0);
        const auto guest = "qmp:" + qemus_[static_cast<std::size_t>(i)]->path("qmp");
        const auto report = co_await running.attach(guest, device(round, i), request);
        for (const auto& each : report.refusals())
            MESSAGE(each.where << ": " << each.text);
        if (report.record().failure) MESSAGE(report.record().failure->text);
        co_return report.ended().value_or(outcome::unknown);
    }

    directory state_;
    std::vector<std::unique_ptr<::qemu_process>> qemus_;
    boost::asio::io_context io_;
    virtual_clock virtual_{io_};
    fake_world outside_{virtual_};
    simulated_disk disk_;
    simulated_locks locks_;
    simulated_process host_{outside_, disk_, locks_, 1};
    machine_clock time_;
    gathering place_;
    guests_with_vfio vms_{time_, place_};
    journal_store store_{state_.path};
    file_leases leases_{state_.path + "/locks", "this test"};
    world at_{host_.shared().at.reader,      host_.shared().at.host, vms_, store_, leases_, time_,
              read_own_identity(file_tree())};
    engine shared_{at_};
};

} // namespace

// No time is asserted: on 2 processors that others use as well, 20 at once took 1.3 times the
// slowest alone, and 9 times that a few minutes later, with the same second of processor time. What
// holds on any machine is that all of them are under way at one moment.
TEST_CASE("20 guests that are attached at once do not wait for each other") {
    crowd all;
    std::vector<milliseconds> alone;
    for (int i = 0; i < count; ++i)
        alone.push_back(all.attach("01", i, i + 1).front());
    const auto slowest = *std::ranges::max_element(alone);
    const auto one_by_one = std::accumulate(alone.begin(), alone.end(), milliseconds(0));
    const auto before = all.processor_time();
    const auto together = all.attach("02", 0, count).back();
    const auto used = all.processor_time() - before;
    MESSAGE(count << " guests: the slowest alone " << slowest.count() << " ms, one after the other "
                  << one_by_one.count() << " ms, at once " << together.count() << " ms, with "
                  << used.count() << " ms of " << std::thread::hardware_concurrency()
                  << " processors");
    CHECK(all.have_met());
}
