#include "qapi/event.hpp"

#include "qapi/read_json.hpp"

#include <algorithm>
#include <array>

namespace vmplug::qapi {
namespace {

using nlohmann::json;

/// The member is there, but of another type than `read` wants.
bool is_wrong(const json& data, std::string_view key, bool read) {
    return !read && member(data, key);
}

template <class T>
std::optional<event> read_unplug(const json& data) {
    auto device = text_at(data, "device");
    auto path = text_at(data, "path");
    if (!path || is_wrong(data, "device", device.has_value())) return std::nullopt;
    return T{std::move(device), std::move(*path)};
}

std::optional<event> read_ost(const json& data) {
    const auto* info = member(data, "info");
    if (!info) return std::nullopt;
    auto device = text_at(*info, "device");
    auto slot = text_at(*info, "slot");
    auto slot_type = text_at(*info, "slot-type");
    const auto source = integer_at(*info, "source");
    const auto status = integer_at(*info, "status");
    if (!slot || !slot_type || !source || !status) return std::nullopt;
    if (is_wrong(*info, "device", device.has_value())) return std::nullopt;
    return acpi_device_ost{std::move(device), std::move(*slot), std::move(*slot_type), *source,
                           *status};
}

/// Both members came later than the events, so neither has to be there.
template <class T>
std::optional<event> read_end(const json& data) {
    const auto guest = bool_at(data, "guest");
    auto reason = text_at(data, "reason");
    if (is_wrong(data, "guest", guest.has_value()) || is_wrong(data, "reason", reason.has_value()))
        return std::nullopt;
    return T{guest, std::move(reason)};
}

template <class T>
std::optional<event> read_bare(const json&) {
    return T{};
}

std::optional<event> read_primary(const json& data) {
    auto device_id = text_at(data, "device-id");
    if (!device_id) return std::nullopt;
    return unplug_primary{std::move(*device_id)};
}

struct reader {
    std::string_view name;
    std::optional<event> (*read)(const json& data);
};

constexpr std::array readers{
    reader{"DEVICE_DELETED", read_unplug<device_deleted>},
    reader{"DEVICE_UNPLUG_GUEST_ERROR", read_unplug<device_unplug_guest_error>},
    reader{"ACPI_DEVICE_OST", read_ost},
    reader{"RESET", read_end<reset>},
    reader{"SHUTDOWN", read_end<shutdown>},
    reader{"STOP", read_bare<stop>},
    reader{"RESUME", read_bare<resume>},
    reader{"UNPLUG_PRIMARY", read_primary},
};

/// What a device added with an id is called in QOM.
bool is_path_of(std::string_view path, std::string_view qdev_id) {
    constexpr std::string_view peripheral = "/machine/peripheral/";
    return path.starts_with(peripheral) && path.substr(peripheral.size()) == qdev_id;
}

} // namespace

result<event> parse_event(std::string_view name, const json& data) {
    const auto* const found = std::ranges::find(readers, name, &reader::name);
    if (found == readers.end()) return event(other{std::string(name)});
    if (auto read = found->read(data)) return std::move(*read);
    return error{error_code::protocol_violation,
                 std::string(name),
                 "the event has not the form that QEMU gives it",
                 {}};
}

bool is_about(const event& happened, std::string_view qdev_id) {
    if (const auto* gone = std::get_if<device_deleted>(&happened))
        return gone->device == qdev_id || is_path_of(gone->path, qdev_id);
    if (const auto* refused = std::get_if<device_unplug_guest_error>(&happened))
        return refused->device == qdev_id || is_path_of(refused->path, qdev_id);
    if (const auto* reported = std::get_if<acpi_device_ost>(&happened))
        return reported->device == qdev_id;
    const auto* primary = std::get_if<unplug_primary>(&happened);
    return primary && primary->device_id == qdev_id;
}

} // namespace vmplug::qapi
