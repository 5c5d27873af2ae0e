#include "guest/guest_survey.hpp"
#include "support/golden.hpp"

#include <doctest/doctest.h>
#include <nlohmann/json.hpp>

using namespace vmplug;
using namespace vmplug::testing;
using nlohmann::json;

namespace {

/// The survey of a recorded QEMU: what it was not asked, it refuses.
guest_facts survey(const std::string& version, const std::string& machine) {
    const golden_conversation said(version, machine);
    guest_survey asking(version + ".0");
    for (auto batch = asking.next(); !batch.empty(); batch = asking.next())
        for (std::size_t i = 0; i < batch.size(); ++i) {
            const auto& [command, arguments] = batch[i];
            const auto given = arguments.empty() ? json() : json::parse(arguments);
            asking.answer(i, said.find(command, given));
        }
    REQUIRE_FALSE(asking.failure());
    return asking.facts();
}

} // namespace

TEST_CASE("what is seen of a recorded q35: free, taken, switched off, and not to be named") {
    for (const auto& version : golden_versions()) {
        CAPTURE(version);
        const auto facts = survey(version, "q35");
        CHECK(facts.name == "golden");
        CHECK(facts.status == "paused");
        CHECK(facts.ram_bytes == 32 << 20);
        CHECK(facts.vfio_pci->find("x-no-mmap")->type == "bool");
        CHECK_FALSE(facts.pci_assign);
        CHECK_FALSE(facts.iommu);
        CHECK(facts.find_port("rp1")->is_free());
        CHECK(facts.find_port("rp0")->occupants == std::vector<std::string>{"nic0"});
        CHECK(facts.find_port("rp2")->why_not == "it was started with hotplug=off");
        CHECK_FALSE(facts.find_port("pcie.0")->takes_hot_add);
        const auto* nic = facts.find_device("nic0");
        REQUIRE(nic);
        CHECK(nic->type == "e1000e");
        CHECK(nic->bus == "rp0");
        CHECK_FALSE(nic->configured);
    }
}

TEST_CASE("what is seen of a recorded pc: its root bus and a bridge take a hot-add") {
    for (const auto& version : golden_versions()) {
        CAPTURE(version);
        const auto facts = survey(version, "pc");
        CHECK(facts.machine_type.starts_with("pc-i440fx-" + version));
        const auto* root = facts.find_port("pci.0");
        REQUIRE(root);
        CHECK(root->is_free());
        CHECK(root->occupants == std::vector<std::string>{"br1", "nic0"});
        CHECK(facts.find_port("br1")->is_free());
        CHECK(facts.find_device("nic0")->address == guest_address{0, 0, 3, 0});
    }
}
