#include "host/read_kernel.hpp"

#include <algorithm>
#include <array>
#include <string_view>

#include <sys/klog.h>
#include <sys/utsname.h>

namespace vmplug {
namespace {

constexpr int syslog_action_read_all = 3;
constexpr std::size_t log_lines_max = 12;

std::vector<std::string> read_log_lines() {
    std::string buffer(std::size_t{1} << 20, '\0');
    const int size =
        ::klogctl(syslog_action_read_all, buffer.data(), static_cast<int>(buffer.size()));
    std::vector<std::string> lines;
    if (size <= 0) return lines;
    buffer.resize(static_cast<std::size_t>(size));
    for (std::size_t begin = 0; begin < buffer.size() && lines.size() < log_lines_max;) {
        const auto end = std::min(buffer.find('\n', begin), buffer.size());
        const auto line = std::string_view(buffer).substr(begin, end - begin);
        begin = end + 1;
        if (line.find("DMAR") == line.npos && line.find("AMD-Vi") == line.npos &&
            line.find("IOMMU") == line.npos)
            continue;
        // "<6>[    0.03] DMAR: ...": the level and the time say nothing here.
        const auto text = line.find("] ");
        lines.emplace_back(text == line.npos ? line : line.substr(text + 2));
    }
    // "DMAR: IOMMU enabled" tells more than where a table lies.
    std::stable_partition(lines.begin(), lines.end(), [](const std::string& line) {
        return line.find("nabled") != std::string::npos;
    });
    return lines;
}

bool has_word(const std::string& line, std::string_view word) {
    for (auto at = line.find(word); at != std::string::npos; at = line.find(word, at + 1)) {
        const bool begins = at == 0 || line[at - 1] == ' ';
        const auto end = at + word.size();
        if (begins && (end == line.size() || line[end] == ' ' || line[end] == ',')) return true;
    }
    return false;
}

/// Extended capability bit 3 of an Intel unit: interrupt remapping is supported; the kernel uses
/// it unless told otherwise.
std::optional<bool> read_interrupt_remapping(const file_tree& files, const iommu_evidence& found) {
    for (const auto& line : found.log_lines)
        if (line.find("Enabled IRQ remapping") != std::string::npos ||
            line.find("Interrupt remapping enabled") != std::string::npos)
            return true;
    constexpr std::uint64_t ecap_interrupt_remapping = 8;
    for (const auto& unit : found.units) {
        const auto text = files.read_line("/sys/class/iommu/" + unit + "/intel-iommu/ecap");
        if (text.empty()) continue;
        const auto value = std::strtoull(text.c_str(), nullptr, 16);
        const bool off = has_word(files.read_line("/proc/cmdline"), "intremap=off");
        return (value & ecap_interrupt_remapping) != 0 && !off;
    }
    return std::nullopt;
}

std::string kernel_release() {
    utsname kernel{};
    ::uname(&kernel);
    return kernel.release;
}

/// A group that VFIO made for a device without an IOMMU has a name that says so.
bool has_isolating_group(const file_tree& files) {
    const std::string directory = "/sys/kernel/iommu_groups/";
    const auto groups = files.list(directory);
    return std::ranges::any_of(groups, [&](const std::string& group) {
        return files.read_line(directory + group + "/name") != "vfio-noiommu";
    });
}

} // namespace

iommu_evidence read_iommu(const file_tree& files, bool with_log) {
    iommu_evidence found;
    found.enabled = has_isolating_group(files);
    found.unsafe_mode =
        files.read_line("/sys/module/vfio/parameters/enable_unsafe_noiommu_mode") == "Y";
    found.units = files.list("/sys/class/iommu");
    found.firmware_table = files.exists("/sys/firmware/acpi/tables/DMAR") ||
                           files.exists("/sys/firmware/acpi/tables/IVRS");
    const auto command_line = files.read_line("/proc/cmdline");
    found.asked_for =
        has_word(command_line, "intel_iommu=on") || has_word(command_line, "amd_iommu=on");
    if (with_log) found.log_lines = read_log_lines();
    found.interrupt_remapping = read_interrupt_remapping(files, found);
    return found;
}

std::map<std::string, std::string> read_kernel_options(const file_tree& files) {
    constexpr std::array wanted{"CONFIG_INTEL_IOMMU", "CONFIG_INTEL_IOMMU_DEFAULT_ON",
                                "CONFIG_AMD_IOMMU",   "CONFIG_IRQ_REMAP",
                                "CONFIG_PCI_STUB",    "CONFIG_VFIO_PCI"};
    auto text = files.read_or_empty("/boot/config-" + kernel_release());
    if (text.empty()) text = files.read_or_empty("/lib/modules/" + kernel_release() + "/config");
    std::map<std::string, std::string> found;
    if (text.empty()) return found;
    for (const std::string name : wanted) {
        const auto line = text.find("\n" + name + "=");
        found[name] = line == text.npos ? "n" : text.substr(line + name.size() + 2, 1);
    }
    return found;
}

std::map<std::string, module_state> read_modules(const file_tree& files,
                                                 std::span<const char* const> names) {
    const auto directory = "/lib/modules/" + kernel_release();
    // The lists write a module's file name, with either dash.
    const auto underscored = [](std::string text) {
        std::ranges::replace(text, '-', '_');
        return text;
    };
    const auto built_in = underscored(files.read_or_empty(directory + "/modules.builtin"));
    const auto available = underscored(files.read_or_empty(directory + "/modules.dep"));
    std::map<std::string, module_state> found;
    for (const char* name : names) {
        const auto plain = underscored(name);
        const auto file = "/" + plain + ".ko";
        auto& state = found[name];
        state = available.find(file) != std::string::npos ? module_state::available
                                                          : module_state::missing;
        if (files.exists("/sys/module/" + plain)) state = module_state::loaded;
        if (built_in.find(file) != std::string::npos) state = module_state::built_in;
    }
    return found;
}

} // namespace vmplug
