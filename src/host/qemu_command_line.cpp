#include "host/qemu_command_line.hpp"

#include <algorithm>
#include <charconv>
#include <map>

namespace vmplug {
namespace {

using options = std::map<std::string, std::string>;

/// `first,key=value,flag`: QEMU's option strings, in which ",," is a comma. What has no key is
/// kept under `implied`.
options parse_options(const std::string& text, const std::string& implied) {
    options parsed;
    std::string part;
    bool first = true;
    const auto take = [&] {
        const auto equals = part.find('=');
        if (equals != std::string::npos)
            parsed[part.substr(0, equals)] = part.substr(equals + 1);
        else
            parsed[first ? implied : part] = first ? part : "on";
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

/// Collects in the order of the arguments; -mon may name a -chardev that comes later.
class reader {
public:
    reader(const std::string& directory, const std::function<std::string(int)>& socket_of,
           qemu_process& process)
        : directory_(directory), socket_of_(socket_of), process_(process) {}

    void read(const std::string& option, const std::string& value) {
        if (option == "name") read_name(value);
        if (option == "machine" || option == "M")
            process_.machine = value_of(parse_options(value, "type"), "type");
        if (option == "qmp" || option == "qmp-pretty") add(qemu_monitor::protocol::qmp, value);
        if (option == "monitor") add(qemu_monitor::protocol::hmp, value);
        if (option == "chardev") {
            const auto parsed = parse_options(value, "backend");
            chardevs_[value_of(parsed, "id")] = parsed;
        }
        if (option == "mon") mons_.push_back(parse_options(value, "chardev"));
        if (option == "device") read_device(value);
    }

    void finish() {
        for (const auto& mon : mons_) {
            const auto chardev = chardevs_.find(value_of(mon, "chardev"));
            if (chardev == chardevs_.end()) continue;
            const bool qmp = value_of(mon, "mode") == "control";
            add(qmp ? qemu_monitor::protocol::qmp : qemu_monitor::protocol::hmp,
                address_of(chardev->second));
        }
    }

private:
    void read_name(const std::string& value) {
        const auto parsed = parse_options(value, "guest");
        process_.name = value_of(parsed, "guest");
    }

    void read_device(const std::string& value) {
        const auto parsed = parse_options(value, "driver");
        if (auto host = parse_host_address(value_of(parsed, "host")); host.has_value())
            process_.hosts.push_back(*host);
    }

    std::string absolute(const std::string& path) const {
        return path.empty() || path.front() == '/' ? path : directory_ + "/" + path;
    }

    std::string address_of(const options& chardev) const {
        if (value_of(chardev, "backend") != "socket") return {};
        if (const auto path = value_of(chardev, "path"); !path.empty())
            return "unix:" + absolute(path);
        const auto descriptor = value_of(chardev, "fd");
        if (!descriptor.empty()) {
            int number = -1;
            std::from_chars(descriptor.data(), descriptor.data() + descriptor.size(), number);
            const auto path = number < 0 ? std::string() : socket_of_(number);
            return path.empty() ? path : "unix:" + path;
        }
        if (const auto port = value_of(chardev, "port"); !port.empty())
            return "tcp:" + value_of(chardev, "host") + ":" + port;
        return {};
    }

    void add(qemu_monitor::protocol speaks, const std::string& value) {
        const auto text = value.substr(0, value.find(','));
        qemu_monitor monitor;
        monitor.speaks = speaks;
        const bool qmp = speaks == qemu_monitor::protocol::qmp;
        if (text.starts_with("unix:"))
            monitor.address = (qmp ? "qmp:" : "hmp:") + absolute(text.substr(5));
        else if (text.starts_with("tcp:"))
            monitor.address = (qmp ? "" : "hmp:") +
                              (text.starts_with("tcp::") ? "tcp:localhost" + text.substr(4) : text);
        else if (text.starts_with("chardev:"))
            return mons_.push_back({{"chardev", text.substr(8)}, {"mode", qmp ? "control" : ""}});
        if (!monitor.address.empty()) process_.monitors.push_back(std::move(monitor));
    }

    const std::string& directory_;
    const std::function<std::string(int)>& socket_of_;
    qemu_process& process_;
    std::map<std::string, options> chardevs_;
    std::vector<options> mons_;
};

} // namespace

void parse_qemu_command_line(const std::vector<std::string>& arguments,
                             const std::string& directory,
                             const std::function<std::string(int)>& socket_of,
                             qemu_process& process) {
    reader reading(directory, socket_of, process);
    for (std::size_t i = 1; i + 1 < arguments.size(); ++i) {
        if (!arguments[i].starts_with('-')) continue;
        const auto name = arguments[i].substr(arguments[i].starts_with("--") ? 2 : 1);
        reading.read(name, arguments[i + 1]);
    }
    reading.finish();
}

} // namespace vmplug
