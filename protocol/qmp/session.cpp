#include "qmp/session.hpp"

#include <algorithm>
#include <utility>

namespace vmplug::qmp {
namespace {

using nlohmann::json;

error refusal(const std::string& command, const reply& received) {
    return {error_code::command_failed, command, received.error_class + ": " + received.desc, {}};
}

} // namespace

session::session(std::string negotiation_id, limits bounds)
    : negotiation_id_(std::move(negotiation_id)), framer_(bounds) {}

void session::receive(std::string_view bytes) {
    if (phase_ == phase::over) return;
    framer_.push(bytes);
    while (phase_ != phase::over) {
        auto text = framer_.next();
        if (text.has_error()) return end(text.error());
        if (!*text) return;
        auto received = parse_message(**text);
        if (received.has_error()) return end(received.error());
        take(std::move(*received));
    }
}

void session::take(message received) {
    if (auto* hello = std::get_if<greeting>(&received)) return take_greeting(*hello);
    if (auto* happened = std::get_if<event>(&received)) {
        if (phase_ == phase::negotiated) outputs_.emplace_back(std::move(*happened));
        return;
    }
    auto& answer = std::get<reply>(received);
    if (phase_ == phase::greeting)
        return end({error_code::protocol_violation, "QMP", "a reply came before the greeting", {}});
    if (phase_ == phase::negotiating) return take_negotiation(answer);
    take_reply(std::move(answer));
}

void session::take_greeting(const greeting& received) {
    if (phase_ != phase::greeting)
        return end({error_code::protocol_violation, "QMP", "a second greeting came", {}});
    peer_ = received;
    phase_ = phase::negotiating;
    negotiation_.emplace();
    negotiation_->text =
        format_command("qmp_capabilities", received.oob ? R"({"enable":["oob"]})" : "",
                       format_json(json(negotiation_id_)), false);
}

/// Whatever answers another id belongs to a client that is gone.
void session::take_negotiation(const reply& received) {
    if (received.id != json(negotiation_id_)) return;
    if (received.failed) return end(refusal("qmp_capabilities", received));
    phase_ = phase::negotiated;
    outputs_.emplace_back(ready{});
}

void session::take_reply(reply received) {
    // Without an id QEMU complains of text that it could not parse: some call of ours will never
    // be answered, and which one cannot be told.
    if (received.id.is_null() && received.failed)
        return end({error_code::protocol_violation,
                    "QMP",
                    "QEMU could not parse a command: " + received.desc,
                    {}});
    const auto number = received.id.is_number_unsigned() ? received.id.get<std::uint64_t>() : 0;
    const auto found =
        number > last_number_ ? sent_.end() : sent_.find(static_cast<call_number>(number));
    if (found == sent_.end())
        return end(
            {error_code::protocol_violation, "QMP", "a reply came to no command of ours", {}});
    const auto call = std::move(found->second);
    sent_.erase(found);
    in_band_sent_ -= call.in_band ? 1 : 0;
    descriptors_sent_ -= call.with_descriptor ? 1 : 0;
    if (call.forgotten) return;
    if (received.failed)
        outputs_.emplace_back(
            completed{static_cast<call_number>(number), refusal(call.command, received)});
    else
        outputs_.emplace_back(completed{
            static_cast<call_number>(number),
            // In place: a json can be made of nearly everything, so the conversion is ambiguous.
            result<json>(boost::system::in_place_value, std::move(received.value))});
}

void session::end(error why) {
    if (phase_ == phase::over) return;
    phase_ = phase::over;
    negotiation_.reset();
    for (const auto& [number, call] : sent_)
        if (!call.forgotten)
            outputs_.emplace_back(completed{
                number, error{error_code::connection_lost,
                              call.command,
                              "the monitor was lost before it answered (" + why.text + ")",
                              {}}});
    for (const auto& call : queue_)
        outputs_.emplace_back(
            completed{call.number, error{error_code::monitor_gone, call.command, why.text, {}}});
    sent_.clear();
    queue_.clear();
    outputs_.emplace_back(closed{std::move(why)});
}

void session::disconnect(error why) {
    end(std::move(why));
}

call_number session::call(std::string command, std::string_view arguments, call_options options) {
    const auto number = ++last_number_;
    if (phase_ == phase::over) {
        outputs_.emplace_back(completed{
            number, error{error_code::monitor_gone, command, "the monitor is closed", {}}});
        return number;
    }
    const bool out_of_band = options.out_of_band && peer_ && peer_->oob;
    outgoing text{format_command(command, arguments, std::to_string(number), out_of_band),
                  options.descriptor};
    queue_.push_back({number, std::move(command), std::move(text), !out_of_band});
    return number;
}

bool session::forget(call_number call) {
    if (const auto found = sent_.find(call); found != sent_.end()) {
        found->second.forgotten = true;
        return true;
    }
    std::erase_if(queue_, [&](const auto& each) { return each.number == call; });
    return false;
}

bool session::may_send(const queued_call& candidate) const {
    if (candidate.in_band && in_band_sent_ >= in_band_max) return false;
    return candidate.message.descriptor < 0 || descriptors_sent_ == 0;
}

std::optional<outgoing> session::next_write() {
    if (negotiation_) return std::exchange(negotiation_, std::nullopt);
    if (phase_ != phase::negotiated) return std::nullopt;
    // In-band commands run in the order in which they were asked for; others overtake them.
    bool in_band_waits = false;
    const auto found = std::ranges::find_if(queue_, [&](const auto& each) {
        if (each.in_band && in_band_waits) return false;
        const bool can = may_send(each);
        in_band_waits = in_band_waits || (each.in_band && !can);
        return can;
    });
    if (found == queue_.end()) return std::nullopt;
    auto call = std::move(*found);
    queue_.erase(found);
    const bool with_descriptor = call.message.descriptor >= 0;
    in_band_sent_ += call.in_band ? 1 : 0;
    descriptors_sent_ += with_descriptor ? 1 : 0;
    sent_.emplace(call.number,
                  sent_call{std::move(call.command), call.in_band, with_descriptor, false});
    return std::move(call.message);
}

std::optional<session_output> session::next_output() {
    if (outputs_.empty()) return std::nullopt;
    auto output = std::move(outputs_.front());
    outputs_.pop_front();
    return output;
}

} // namespace vmplug::qmp
