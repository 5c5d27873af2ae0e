#include "host/qemu_command_line.hpp"

#include <nlohmann/json.hpp>

#include <charconv>
#include <map>
#include <optional>

namespace vmplug {
namespace {

using nlohmann::json;
using options = std::map<std::string, std::string>;

constexpr std::size_t depth_max = 16;
constexpr std::size_t config_files_max = 16;
constexpr std::size_t config_bytes_max = std::size_t{1} << 20; ///< of all of them

/// The short form of an object of QAPI: only the last name of each member counts, so that
/// {"backend": {"type": "socket", "data": {"addr": {"data": {"path": "/x"}}}}} has "path".
/// "type" names what the object around it is, the outermost wins. Lists say nothing here, and what
/// is deeper than any of QEMU's is nobody's: the words are any user's.
void flatten(const json& value, const std::string& name, options& into, std::size_t depth) {
    if (value.is_structured()) {
        if (!value.is_object() || depth >= depth_max) return;
        for (const auto& [key, member] : value.items())
            flatten(member, key == "type" && !name.empty() ? name : key, into, depth + 1);
        return;
    }
    if (value.is_boolean())
        into.try_emplace(name, value.get<bool>() ? "on" : "off");
    else
        into.try_emplace(name, value.is_string() ? value.get<std::string>() : value.dump());
}

/// `first,key=value,flag`: QEMU's option strings, in which ",," is a comma. What has no key is
/// kept under `implied`. An object of JSON says the same.
options parse_options(const std::string& text, const std::string& implied) {
    options parsed;
    if (text.starts_with('{')) {
        const auto object = json::parse(text, nullptr, false);
        if (object.is_object()) flatten(object, "", parsed, 0);
        // In QAPI a socket listens where it says nothing, and waits only where it says so.
        if (!parsed.contains("server")) parsed["server"] = "on";
        if (!parsed.contains("wait")) parsed["wait"] = "off";
        return parsed;
    }
    std::string part;
    bool first = true;
    const auto take = [&] {
        const auto equals = part.find('=');
        if (equals != std::string::npos)
            parsed[part.substr(0, equals)] = part.substr(equals + 1);
        else if (first)
            parsed[implied] = part;
        else if (part.starts_with("no"))
            parsed[part.substr(2)] = "off";
        else
            parsed[part] = "on";
        part.clear();
        first = false;
    };
    for (std::size_t i = 0; i < text.size(); ++i) {
        if (text[i] == ',' && i + 1 < text.size() && text[i + 1] == ',')
            part += text[++i];
        else if (text[i] == ',')
            take();
        else
            part += text[i];
    }
    if (!part.empty()) take();
    return parsed;
}

std::string value_of(const options& parsed, const std::string& key) {
    const auto found = parsed.find(key);
    return found == parsed.end() ? std::string() : found->second;
}

bool is_on(const options& parsed, const std::string& key, bool otherwise = false) {
    const auto found = parsed.find(key);
    if (found == parsed.end()) return otherwise;
    const auto& value = found->second;
    return value == "on" || value == "yes" || value == "true" || value == "y" || value == "1";
}

template <class Number>
Number number_of(const options& parsed, const std::string& key, Number otherwise) {
    const auto text = value_of(parsed, key);
    Number value{};
    const auto [end, failure] = std::from_chars(text.data(), text.data() + text.size(), value);
    const bool whole = failure == std::errc() && end == text.data() + text.size();
    return whole && !text.empty() ? value : otherwise;
}

/// "HOST:PORT,more" with an IPv6 address in brackets, as options of a chardev.
options parse_tcp(const std::string& text) {
    const auto comma = text.find(',');
    const auto address = text.substr(0, comma);
    auto parsed = parse_options(comma == text.npos ? "" : "x" + text.substr(comma), "ignored");
    const auto colon = address.rfind(':');
    if (colon == address.npos) return {};
    auto host = address.substr(0, colon);
    if (host.starts_with('[') && host.ends_with(']')) host = host.substr(1, host.size() - 2);
    parsed["host"] = host;
    parsed["port"] = address.substr(colon + 1);
    return parsed;
}

/// A chardev in the short form of -qmp, -monitor and -serial. Empty for what is no socket.
options parse_short_chardev(const std::string& text) {
    const auto colon = text.find(':');
    const auto kind = text.substr(0, colon);
    if (colon == text.npos) return {};
    const auto rest = text.substr(colon + 1);
    options parsed;
    if (kind == "unix") parsed = parse_options(rest, "path");
    if (kind == "tcp" || kind == "telnet" || kind == "tn3270" || kind == "websocket") {
        parsed = parse_tcp(rest);
        if (kind != "tcp") parsed[kind] = "on";
    }
    if (!parsed.empty()) parsed["backend"] = "socket";
    return parsed;
}

bool listens(const options& chardev) {
    return value_of(chardev, "backend") == "socket" && is_on(chardev, "server");
}

bool waits_for_client(const options& chardev) {
    return listens(chardev) && is_on(chardev, "wait", true);
}

std::string why_unusable(const options& chardev) {
    for (const char* wrapping : {"telnet", "tn3270", "websocket"})
        if (is_on(chardev, wrapping)) return std::string("it speaks ") + wrapping;
    if (chardev.contains("tls-creds")) return "it wants TLS";
    if (is_on(chardev, "mux")) return "it shares its socket with another device (mux)";
    return {};
}

std::optional<monitor_claim> claim_of(const options& chardev) {
    if (!listens(chardev)) return std::nullopt;
    monitor_claim claim;
    claim.unusable = why_unusable(chardev);
    const auto descriptor = value_of(chardev, chardev.contains("fd") ? "fd" : "str");
    if (!descriptor.empty()) {
        claim.where = monitor_claim::place::descriptor;
        claim.descriptor =
            chardev.contains("fd") ? number_of(chardev, "fd", -1) : number_of(chardev, "str", -1);
        return claim;
    }
    claim.path = value_of(chardev, "path");
    if (!claim.path.empty()) {
        if (is_on(chardev, "abstract")) claim.where = monitor_claim::place::abstract_name;
        return claim;
    }
    if (!chardev.contains("port")) return std::nullopt;
    claim.where = monitor_claim::place::tcp;
    claim.host = value_of(chardev, "host");
    claim.port = claim.port_last = number_of(chardev, "port", std::uint16_t{0});
    if (claim.port != 0) claim.port_last = number_of(chardev, "to", claim.port);
    return claim;
}

/// Collects in the order of the arguments; -mon may name a -chardev that comes later.
class reader {
public:
    explicit reader(qemu_command_line& found) : found_(found) {}

    void read(const std::string& option, const std::string& value) {
        if (option == "name") read_name(parse_options(value, "guest"));
        if (option == "machine" || option == "M") read_machine(parse_options(value, "type"));
        if (option == "qmp" || option == "qmp-pretty")
            read_monitor(qemu_monitor::protocol::qmp, value);
        if (option == "monitor") read_monitor(qemu_monitor::protocol::hmp, value);
        if (option == "serial" || option == "parallel") read_line(value);
        if (option == "chardev") read_chardev(parse_options(value, "backend"));
        if (option == "mon") read_mon(parse_options(value, "chardev"));
        if (option == "device") read_device(parse_options(value, "driver"));
    }

    /// "[group "id"]" and "key = "value"" lines.
    void read_config(const std::string& text) {
        options section;
        std::string group;
        for (std::size_t begin = 0; begin < text.size();) {
            const auto end = std::min(text.find('\n', begin), text.size());
            const auto line = text.substr(begin, end - begin);
            begin = end + 1;
            const auto first = line.find_first_not_of(" \t");
            if (first == line.npos || line[first] == '#') continue;
            if (line[first] == '[')
                begin_section(line.substr(first + 1), group, section);
            else
                take_pair(line.substr(first), section);
        }
        take_section(group, section);
    }

    void finish() {
        for (const auto& mon : mons_) {
            const auto chardev = chardevs_.find(value_of(mon, "chardev"));
            if (chardev == chardevs_.end()) continue;
            add(value_of(mon, "mode") == "control" ? qemu_monitor::protocol::qmp
                                                   : qemu_monitor::protocol::hmp,
                chardev->second);
        }
    }

private:
    /// A later -name may say something else alone (process=, debug-threads=).
    void read_name(const options& parsed) {
        if (parsed.contains("guest")) found_.name = value_of(parsed, "guest");
    }

    void read_machine(const options& parsed) {
        if (const auto type = value_of(parsed, "type"); !type.empty()) found_.machine = type;
    }

    void read_device(const options& parsed) {
        if (auto host = parse_host_address(value_of(parsed, "host")); host.has_value())
            found_.hosts.push_back(*host);
    }

    void read_chardev(options parsed) {
        // A second one of that name is refused by QEMU.
        note_waiting(parsed);
        auto id = value_of(parsed, "id");
        chardevs_.try_emplace(std::move(id), std::move(parsed));
    }

    void read_mon(options parsed) {
        if (mons_.size() < qemu_command_line::monitors_max) mons_.push_back(std::move(parsed));
    }

    /// A serial line, on which "mon:" multiplexes a human monitor.
    void read_line(const std::string& value) {
        const bool monitor = value.starts_with("mon:");
        auto chardev = parse_short_chardev(monitor ? value.substr(4) : value);
        note_waiting(chardev);
        chardev["mux"] = "on";
        if (monitor) add(qemu_monitor::protocol::hmp, chardev);
    }

    void read_monitor(qemu_monitor::protocol speaks, const std::string& value) {
        const bool qmp = speaks == qemu_monitor::protocol::qmp;
        if (value.starts_with("chardev:"))
            return read_mon({{"chardev", value.substr(8)}, {"mode", qmp ? "control" : ""}});
        const auto chardev = parse_short_chardev(value);
        note_waiting(chardev);
        add(speaks, chardev);
    }

    void note_waiting(const options& chardev) {
        found_.waits = found_.waits || waits_for_client(chardev);
    }

    void add(qemu_monitor::protocol speaks, const options& chardev) {
        auto claim = claim_of(chardev);
        if (!claim || found_.monitors.size() >= qemu_command_line::monitors_max) return;
        claim->speaks = speaks;
        found_.monitors.push_back(std::move(*claim));
    }

    void begin_section(const std::string& header, std::string& group, options& section) {
        take_section(group, section);
        section.clear();
        group = header.substr(0, header.find_first_of(" \t]"));
        const auto open = header.find('"'), close = header.rfind('"');
        if (open < close) section["id"] = header.substr(open + 1, close - open - 1);
    }

    static void take_pair(const std::string& line, options& section) {
        const auto key_end = line.find_first_of(" \t=");
        const auto open = line.find('"'), close = line.rfind('"');
        if (key_end == line.npos || open >= close) return;
        section[line.substr(0, key_end)] = line.substr(open + 1, close - open - 1);
    }

    void take_section(const std::string& group, const options& section) {
        if (group == "name") read_name(section);
        if (group == "machine") read_machine(section);
        if (group == "device") read_device(section);
        if (group == "chardev") read_chardev(section);
        if (group == "mon") read_mon(section);
    }

    qemu_command_line& found_;
    std::map<std::string, options> chardevs_;
    std::vector<options> mons_;
};

} // namespace

qemu_command_line
parse_qemu_command_line(const std::vector<std::string>& arguments,
                        const std::function<std::string(const std::string&)>& read_config) {
    qemu_command_line found;
    reader reading(found);
    std::size_t files = 0;
    std::size_t bytes = 0;
    for (std::size_t i = 1; i + 1 < arguments.size(); ++i) {
        if (!arguments[i].starts_with('-')) continue;
        const auto name = arguments[i].substr(arguments[i].starts_with("--") ? 2 : 1);
        if (name == "readconfig") {
            if (++files > config_files_max || bytes > config_bytes_max) continue;
            const auto text = read_config(arguments[i + 1]).substr(0, config_bytes_max);
            bytes += text.size();
            reading.read_config(text);
        } else
            reading.read(name, arguments[i + 1]);
    }
    reading.finish();
    return found;
}

} // namespace vmplug
