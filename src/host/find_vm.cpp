#include <vmplug/host_facts.hpp>

#include <algorithm>
#include <array>
#include <charconv>

#include <pwd.h>
#include <unistd.h>

namespace vmplug {
namespace {

/// Those that a name or a pid may mean.
std::vector<const qemu_process*> find_candidates(const host_facts& host, std::string_view text,
                                                 std::optional<std::uint32_t> uid) {
    std::int32_t pid = 0;
    const auto [end, failure] = std::from_chars(text.data(), text.data() + text.size(), pid);
    const bool is_pid = failure == std::errc() && end == text.data() + text.size();
    std::vector<const qemu_process*> found;
    for (const auto& process : host.qemus)
        if ((!text.empty() && process.name == text && (!uid || process.uid == *uid)) ||
            (is_pid && process.identity.pid == pid))
            found.push_back(&process);
    return found;
}

error no_vm(const host_facts& host, std::string_view text) {
    std::vector<std::string> names;
    for (const auto& each : host.qemus)
        names.push_back(each.name);
    return {error_code::vm_not_found,
            std::string(text.substr(0, 100)),
            "no QEMU of that name or pid runs here" + did_you_mean(text, names),
            {}};
}

std::string list_processes(const std::vector<const qemu_process*>& processes) {
    std::string text;
    for (const auto* each : processes)
        text += (text.empty() ? "pid " : ", pid ") + std::to_string(each->identity.pid) + " of " +
                describe_user(each->uid);
    return text;
}

} // namespace

std::string user_name(std::uint32_t uid) {
    // getpwuid has one answer for all threads.
    std::array<char, 16384> room;
    passwd entry{};
    passwd* found = nullptr;
    if (::getpwuid_r(uid, &entry, room.data(), room.size(), &found) == 0 && found)
        return entry.pw_name;
    return std::to_string(uid);
}

std::string describe_user(std::uint32_t uid) {
    const auto number = std::to_string(uid);
    const auto name = user_name(uid);
    return name == number ? "uid " + number : "user " + name + " (" + number + ")";
}

result<const qemu_process*> find_vm(const host_facts& host, std::string_view text,
                                    std::optional<std::uint32_t> uid) {
    const std::string where(text.substr(0, 100));
    auto found = find_candidates(host, text, uid);
    if (found.empty() && uid)
        if (const auto others = find_candidates(host, text, std::nullopt); !others.empty())
            return error{error_code::vm_foreign,
                         where,
                         "none of that name belongs to " + describe_user(*uid) + ": " +
                             list_processes(others),
                         {}};
    if (found.empty()) return no_vm(host, text);
    if (found.size() > 1) {
        // Anybody can start a QEMU of any name: our own are meant.
        const auto ours = [](const qemu_process* each) { return each->uid == ::geteuid(); };
        if (std::ranges::count_if(found, ours) == 1) return *std::ranges::find_if(found, ours);
        return error{error_code::vm_ambiguous,
                     where,
                     "several QEMUs have that name: " + list_processes(found),
                     {}};
    }
    return found.front();
}

} // namespace vmplug
