#include "journal/record_text.hpp"

#include <nlohmann/json.hpp>

#include <array>
#include <string_view>

namespace vmplug {
namespace {

using nlohmann::json;
using std::chrono::microseconds;
using std::chrono::system_clock;

std::int64_t to_number(system_clock::time_point time) {
    return std::chrono::duration_cast<microseconds>(time.time_since_epoch()).count();
}

system_clock::time_point to_time(std::int64_t number) {
    return system_clock::time_point(microseconds(number));
}

/// Text from outside may not be UTF-8; the record must be written all the same.
std::string dump(const json& value) {
    return value.dump(-1, ' ', false, json::error_handler_t::replace);
}

/// Runs `read` on the parsed text; what it misses or finds of another type is a damaged record.
template <class Value, class Read>
result<Value> parse(const std::string& text, Read read) {
    try {
        return read(json::parse(text));
    } catch (const json::exception& failure) {
        return error{error_code::journal_corrupt, "journal", failure.what(), {}};
    }
}

template <class Enum, std::size_t Count>
Enum parse_name(const json& value, const std::array<Enum, Count>& all) {
    const auto& name = value.get_ref<const std::string&>();
    for (const auto each : all)
        if (state_name(each) == name) return each;
    throw json::other_error::create(501, "unknown state " + name, &value);
}

operation_state parse_operation_state(const json& value) {
    using enum operation_state;
    return parse_name(value, std::array{applying, reverting, closed});
}

step_state parse_step_state(const json& value) {
    using enum step_state;
    return parse_name(value, std::array{planned, begun, applied, reverted});
}

json format_error(const error& failure) {
    return {{"code", code_name(failure.code)},
            {"where", failure.where},
            {"text", failure.text},
            {"remedy", failure.remedy},
            {"advice", advice_name(failure.advised)}};
}

error read_error(const json& value) {
    const auto* row = find_error(value.at("code").get<std::string>());
    return {row ? row->code : error_code::internal, value.at("where"), value.at("text"),
            value.at("remedy"), parse_advice(value.value("advice", "none"))};
}

operation_record read_record(const json& value) {
    operation_record record;
    const auto kind = parse_operation_kind(value.at("kind").get<std::string>());
    if (!kind) throw json::other_error::create(501, "unknown kind", &value);
    record.kind = *kind;
    record.state = parse_operation_state(value.at("state"));
    record.failure_policy = value.at("hold").get<bool>() ? on_failure::hold : on_failure::roll_back;
    record.forward_from = value.at("forward_from");
    record.subject = value.at("subject").get<fields>();
    record.request_id = value.at("request_id");
    record.runner.boot_id = value.at("boot_id");
    record.runner.pid = value.at("pid");
    record.runner.start_time = value.at("start_time");
    record.started = to_time(value.at("started"));
    record.ended_at = to_time(value.at("ended_at"));
    if (value.contains("outcome"))
        record.ended = parse_outcome(value["outcome"].get<std::string>());
    if (value.contains("error")) record.failure = read_error(value["error"]);
    record.releases = value.at("releases");
    // A journal of before has none.
    record.version = value.value("version", std::int64_t{0});
    return record;
}

} // namespace

std::string format_record(const operation_record& record) {
    json value{{"kind", kind_name(record.kind)},
               {"state", state_name(record.state)},
               {"hold", record.failure_policy == on_failure::hold},
               {"forward_from", record.forward_from},
               {"subject", record.subject},
               {"request_id", record.request_id},
               {"boot_id", record.runner.boot_id},
               {"pid", record.runner.pid},
               {"start_time", record.runner.start_time},
               {"started", to_number(record.started)},
               {"ended_at", to_number(record.ended_at)},
               {"releases", record.releases},
               {"version", record.version}};
    if (record.ended) value["outcome"] = outcome_name(*record.ended);
    if (record.failure) value["error"] = format_error(*record.failure);
    return dump(value);
}

std::string format_step(const step_record& step) {
    return dump({{"kind", step.planned.kind},
                 {"arguments", step.planned.arguments},
                 {"prior_state", step.prior_state},
                 {"findings", step.findings},
                 {"state", state_name(step.state)},
                 {"duration_us", step.duration.count()}});
}

result<operation_record> parse_record(const std::string& text) {
    return parse<operation_record>(text, read_record);
}

result<step_record> parse_step(const std::string& text) {
    return parse<step_record>(text, [](const json& value) {
        step_record step;
        step.planned.kind = value.at("kind");
        step.planned.arguments = value.at("arguments").get<fields>();
        step.prior_state = value.at("prior_state").get<fields>();
        step.findings = value.at("findings").get<fields>();
        step.state = parse_step_state(value.at("state"));
        step.duration = microseconds(value.at("duration_us").get<std::int64_t>());
        return step;
    });
}

} // namespace vmplug
