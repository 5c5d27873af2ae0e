#pragma once

#include "qmp/message.hpp"

#include <doctest/doctest.h>
#include <nlohmann/json.hpp>

#include <filesystem>
#include <fstream>
#include <string>
#include <vector>

namespace vmplug::testing {

/// What was recorded of real QEMUs: protocol/qapi/golden.
inline const std::filesystem::path golden_directory = VMPLUG_GOLDEN;

/// The lines of a file of it.
inline std::vector<nlohmann::json> read_golden(const std::string& version,
                                               const std::string& name) {
    std::ifstream file(golden_directory / version / (name + ".jsonl"));
    std::vector<nlohmann::json> lines;
    for (std::string line; std::getline(file, line);)
        lines.push_back(nlohmann::json::parse(line));
    REQUIRE_MESSAGE(!lines.empty(), version, "/", name, " is not recorded");
    return lines;
}

/// The versions of QEMU that were recorded: "7.2".
inline std::vector<std::string> golden_versions() {
    std::vector<std::string> versions;
    for (const auto& each : std::filesystem::directory_iterator(golden_directory))
        if (each.is_directory() && exists(each.path() / "schema.jsonl"))
            versions.push_back(each.path().filename());
    return versions;
}

/// A command as it was sent, and its answer.
struct golden_call {
    std::string command;
    nlohmann::json arguments; ///< null: none
    qmp::reply answer;
};

/// One conversation, read by protocol/qmp.
struct golden_conversation {
    std::vector<golden_call> calls;
    std::vector<qmp::event> events;

    golden_conversation(const std::string& version, const std::string& machine) {
        for (const auto& line : read_golden(version, machine)) {
            if (const auto sent = line.find("sent"); sent != line.end())
                calls.push_back({sent->at("execute"), sent->value("arguments", nlohmann::json()),
                                 qmp::reply{sent->at("id"), false, {}, {}, {}}});
            else
                take(line.at("received"));
        }
    }

    /// The last answer to it, if QEMU did not refuse it.
    const nlohmann::json* find(const std::string& command, const nlohmann::json& arguments) const {
        const nlohmann::json* found = nullptr;
        for (const auto& each : calls)
            if (each.command == command && each.arguments == arguments && !each.answer.failed)
                found = &each.answer.value;
        return found;
    }

private:
    void take(const nlohmann::json& received) {
        auto message = qmp::parse_message(received.dump());
        REQUIRE(message.has_value());
        if (auto* happened = std::get_if<qmp::event>(&*message))
            events.push_back(std::move(*happened));
        auto* answer = std::get_if<qmp::reply>(&*message);
        if (!answer) return;
        REQUIRE(!calls.empty());
        REQUIRE(answer->id == calls.back().answer.id);
        calls.back().answer = std::move(*answer);
    }
};

} // namespace vmplug::testing
