#include "qapi/control.hpp"
#include "qapi/event.hpp"
#include "qapi/introspect.hpp"
#include "qapi/machine.hpp"
#include "qapi/pci.hpp"
#include "qapi/qdev.hpp"
#include "support/golden.hpp"
#include "support/qapi_schema.hpp"

#include <algorithm>
#include <functional>
#include <map>

using namespace vmplug;
using namespace vmplug::testing;
using nlohmann::json;

namespace {

constexpr std::array machines{"q35", "pc"};

/// A command of ours: made of recorded arguments, and its parser of recorded answers.
struct known_command {
    std::function<std::string(const json& arguments)> encode;
    std::function<std::optional<error>(const json& answer)> parse;
};

template <class Command>
known_command known(std::function<Command(const json& arguments)> make) {
    return {[make](const json& arguments) { return make(arguments).encode(); },
            [](const json& answer) -> std::optional<error> {
                const auto parsed = Command::parse(answer);
                return parsed.has_error() ? std::optional(parsed.error()) : std::nullopt;
            }};
}

template <class Command>
std::pair<std::string, known_command> bare() {
    return {std::string(Command::name), known<Command>([](const json&) { return Command{}; })};
}

qapi::device_add make_device_add(const json& arguments) {
    qapi::device_add made{arguments.at("driver"), arguments.at("id"), {}, {}, {}};
    if (arguments.contains("bus")) made.bus = arguments.at("bus");
    for (const auto& [name, value] : arguments.items())
        if (name != "driver" && name != "id" && name != "bus")
            made.properties.emplace_back(name, value.dump());
    return made;
}

const std::map<std::string, known_command>& ours() {
    static const std::map<std::string, known_command> commands{
        bare<qapi::query_name>(),
        bare<qapi::query_status>(),
        bare<qapi::query_migrate>(),
        bare<qapi::query_memory_size_summary>(),
        bare<qapi::query_pci>(),
        bare<qapi::query_commands>(),
        bare<qapi::query_qmp_schema>(),
        {"qom-list",
         known<qapi::qom_list>([](const json& a) { return qapi::qom_list{a["path"]}; })},
        {"qom-get", known<qapi::qom_get>([](const json& a) {
             return qapi::qom_get{a["path"], a["property"]};
         })},
        {"device-list-properties", known<qapi::device_list_properties>([](const json& a) {
             return qapi::device_list_properties{a["typename"]};
         })},
        {"human-monitor-command", known<qapi::human_monitor_command>([](const json& a) {
             return qapi::human_monitor_command{a["command-line"]};
         })},
        {"device_add", known<qapi::device_add>(make_device_add)},
        {"device_del",
         known<qapi::device_del>([](const json& a) { return qapi::device_del{a["id"]}; })},
    };
    return commands;
}

void each_conversation(
    const std::function<void(const std::string& version, const golden_conversation&)>& visit) {
    REQUIRE(golden_versions().size() >= 1);
    for (const auto& version : golden_versions())
        for (const char* machine : machines) {
            CAPTURE(version);
            CAPTURE(machine);
            visit(version, golden_conversation(version, machine));
        }
}

template <class Command>
typename Command::reply answer(const golden_conversation& said, const Command& command) {
    const auto arguments = json::parse(command.encode(), nullptr, false);
    const auto* found =
        said.find(std::string(Command::name), arguments.is_object() ? arguments : json());
    REQUIRE(found);
    auto parsed = Command::parse(*found);
    REQUIRE(parsed.has_value());
    return std::move(*parsed);
}

const qapi::pci_function* find(const std::vector<qapi::pci_root>& roots, const char* qdev_id) {
    for (const auto& root : roots)
        for (const auto& each : root.functions) {
            if (each.qdev_id == qdev_id) return &each;
            for (const auto& behind : each.behind)
                if (behind.qdev_id == qdev_id) return &behind;
        }
    return nullptr;
}

} // namespace

TEST_CASE("what is sent to a QEMU is what was recorded, and all of it was recorded") {
    each_conversation([](const std::string&, const golden_conversation& said) {
        std::vector<std::string> seen;
        for (const auto& each : said.calls) {
            const auto command = ours().find(each.command);
            if (command == ours().end()) continue;
            const auto arguments = command->second.encode(each.arguments);
            if (arguments.empty())
                CHECK(each.arguments.is_null());
            else
                CHECK(json::parse(arguments) == each.arguments);
            seen.push_back(each.command);
        }
        // The answer to that one is schema.jsonl.
        seen.emplace_back(qapi::query_qmp_schema::name);
        for (const auto& each : ours())
            CHECK_MESSAGE(std::ranges::count(seen, each.first) > 0, each.first);
    });
}

TEST_CASE("every recorded answer is read") {
    each_conversation([](const std::string&, const golden_conversation& said) {
        for (const auto& each : said.calls) {
            const auto command = ours().find(each.command);
            if (command == ours().end() || each.answer.failed) continue;
            const auto failure = command->second.parse(each.answer.value);
            CHECK_MESSAGE(!failure, each.command, ": ", failure ? failure->text : "");
        }
    });
}

TEST_CASE("the answers say what the machine was started with") {
    each_conversation([](const std::string& version, const golden_conversation& said) {
        CHECK(answer(said, qapi::query_name{}) == "golden");
        CHECK(answer(said, qapi::query_status{}) == qapi::run_status{"paused", false});
        CHECK(answer(said, qapi::query_migrate{}) == std::nullopt);
        CHECK(answer(said, qapi::query_memory_size_summary{}) == qapi::memory_size{32 << 20, 0});
        const auto type = answer(said, qapi::qom_get{"/machine", "type"});
        CHECK(std::get<std::string>(type).find(version) != std::string::npos);
        const auto vfio = answer(said, qapi::device_list_properties{"vfio-pci"});
        const auto host = std::ranges::find(vfio, "host", &qapi::object_property::name);
        REQUIRE(host != vfio.end());
        CHECK(host->type == "str");
        const auto boolean = std::ranges::find(vfio, "x-no-mmap", &qapi::object_property::name);
        REQUIRE(boolean != vfio.end());
        CHECK(*boolean == qapi::object_property{"x-no-mmap", "bool", "false"});
        const auto tree = answer(said, qapi::human_monitor_command{"info qom-tree"});
        CHECK(tree.starts_with("/machine ("));
        const auto commands = answer(said, qapi::query_commands{});
        CHECK(std::ranges::count(commands, "device_add") == 1);
        const auto listed = answer(said, qapi::qom_list{"/machine/peripheral"});
        const auto nic = std::ranges::find(listed, "nic0", &qapi::object_property::name);
        REQUIRE(nic != listed.end());
        CHECK(nic->child_type().starts_with("e1000"));
        CHECK(std::ranges::count(listed, "nic1", &qapi::object_property::name) == 0);
    });
}

TEST_CASE("query-pci shows slots, and no address in a guest that has not booted") {
    for (const auto& version : golden_versions()) {
        CAPTURE(version);
        const auto q35 = answer(golden_conversation(version, "q35"), qapi::query_pci{});
        REQUIRE(q35.size() == 1);
        const auto* port = find(q35, "rp1");
        REQUIRE(port);
        CHECK(port->slot == 2);
        CHECK(port->behind.empty());
        CHECK(std::ranges::count(q35[0].functions, "", &qapi::pci_function::qdev_id) >= 4);
        const auto pc = answer(golden_conversation(version, "pc"), qapi::query_pci{});
        const auto* nic = find(pc, "nic0");
        REQUIRE(nic);
        CHECK(nic->slot == 3);
        CHECK(nic->regions.size() >= 2);
        for (const auto& region : nic->regions)
            CHECK_FALSE(region.address.has_value());
    }
}

TEST_CASE("every recorded event is read: an unplug that a reset completes, and the end") {
    each_conversation([](const std::string&, const golden_conversation& said) {
        std::vector<qapi::event> seen;
        for (const auto& each : said.events) {
            auto parsed = qapi::parse_event(each.name, each.data);
            REQUIRE_MESSAGE(parsed.has_value(), each.name);
            CHECK(each.timestamp_us >= 1'700'000'000'000'000);
            if (!std::holds_alternative<qapi::other>(*parsed)) seen.push_back(std::move(*parsed));
        }
        CHECK(seen == std::vector<qapi::event>{
                          qapi::resume{}, qapi::stop{}, qapi::reset{false, "host-qmp-system-reset"},
                          qapi::device_deleted{"nic1", "/machine/peripheral/nic1"},
                          qapi::shutdown{false, "host-qmp-quit"}});
        CHECK(qapi::is_about(seen[3], "nic1"));
    });
}

TEST_CASE("QEMU's schema allows what it answers, and what we send") {
    each_conversation([](const std::string& version, const golden_conversation& said) {
        const qapi_schema schema(version);
        for (const auto& each : said.calls) {
            if (each.command == "no-such-command") continue;
            CHECK(schema.offence_of_arguments(each.command, each.arguments) == "");
            if (!each.answer.failed)
                CHECK(schema.offence_of_answer(each.command, each.answer.value) == "");
        }
        for (const auto& each : said.events)
            if (std::holds_alternative<qapi::other>(*qapi::parse_event(each.name, each.data)))
                continue;
            else
                CHECK(schema.offence_of_event(each.name, each.data) == "");
    });
}

TEST_CASE("the recorded schema is read, each entity of it") {
    for (const auto& version : golden_versions()) {
        CAPTURE(version);
        const auto lines = read_golden(version, "schema");
        const auto parsed = qapi::query_qmp_schema::parse(json(lines));
        REQUIRE(parsed.has_value());
        CHECK(parsed->size() == lines.size());
        const auto entity = [&](const std::string& name) {
            const auto found = std::ranges::find(*parsed, name, &qapi::schema_entity::name);
            REQUIRE_MESSAGE(found != parsed->end(), name);
            return *found;
        };
        CHECK(entity("device_add").kind == "command");
        CHECK(entity("RESET").kind == "event");
        CHECK(entity("str").json_type == "string");
        const auto arguments = entity(entity("device_add").argument_type);
        CHECK(std::ranges::count(arguments.members,
                                 qapi::schema_entity::member{"driver", "str", false}) == 1);
        CHECK(std::ranges::count(arguments.members,
                                 qapi::schema_entity::member{"bus", "str", true}) == 1);
        const auto meta = entity("query-qmp-schema.return.each");
        CHECK(meta.tag == "meta-type");
        CHECK(std::ranges::count(meta.variants, "array",
                                 &qapi::schema_entity::variant::tag_value) == 1);
        CHECK(std::ranges::count(entity("query-qmp-schema.return.each.meta-type").values,
                                 "command") == 1);
        CHECK(entity(entity("query-qmp-schema.return").element_type) == meta);
    }
}

TEST_CASE("what the schema forbids is found: of each kind of type that it has") {
    for (const auto& version : golden_versions()) {
        CAPTURE(version);
        const qapi_schema schema(version);
        const auto arguments = [&](const char* command, const json& value) {
            return schema.offence_of_arguments(command, value);
        };
        const auto event = [&](const char* name, const json& data) {
            return schema.offence_of_event(name, data);
        };
        CHECK(arguments("device_del", {{"id", 1}}) == "device_del.id is no string");
        CHECK(arguments("device_del", {}) == "device_del lacks id");
        CHECK(arguments("device_del", {{"id", "x"}, {"force", true}}) ==
              "device_del has no member force");
        CHECK(arguments("device_del", json::array()) == "device_del is no object");
        CHECK(arguments("device_add", {{"driver", "x"}, {"bus", false}, {"own", 1}}) ==
              "device_add.bus is no string");
        CHECK(arguments("qmp_capabilities", {{"enable", {"oob", "more"}}}) ==
              "qmp_capabilities.enable[1] is none of its values: \"more\"");
        CHECK(arguments("query-name", {{"of", "x"}}) == "query-name has no member of");
        CHECK(arguments("no-such", {}) == "there is no command no-such");
        CHECK(schema.offence_of_answer("query-status", {{"status", "odd"}, {"running", true}}) !=
              "");
        CHECK(schema.offence_of_answer("qom-list", json::object()) == "qom-list is no array");
        CHECK(event("DEVICE_DELETED", {{"device", "x"}}) == "DEVICE_DELETED lacks path");
        CHECK(event("RESET", {{"guest", true}, {"reason", "whim"}}) ==
              "RESET.reason is none of its values: \"whim\"");
        CHECK(event("device_del", {}) == "there is no event device_del");
        // A union: its members are those of the case.
        const json command{{"name", "x"}, {"meta-type", "command"}, {"arg-type", "1"}};
        CHECK(schema.offence_of_answer("query-qmp-schema", json::array({command})) ==
              "query-qmp-schema[0] lacks ret-type");
    }
}
