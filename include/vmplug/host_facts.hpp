#pragma once

#include <vmplug/operation.hpp>
#include <vmplug/pci_address.hpp>

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

namespace vmplug {

/// A PCI function of this host, from sysfs.
///
/// Source: Documentation/ABI/testing/sysfs-bus-pci of Linux.
struct pci_function {
    host_address address;
    std::uint16_t vendor = 0;
    std::uint16_t device = 0;
    std::uint32_t class_code = 0; ///< 24 bits, e.g. 0x020000
    std::string driver;           ///< empty: none
    std::optional<int> iommu_group;
    bool no_iommu = false;            ///< its group is VFIO's no-IOMMU mode: nothing isolates it
    bool is_bridge_type = false;      ///< its header is of type 1 or 2 (PCI-to-PCI, CardBus)
    std::vector<std::string> netdevs; ///< below it, however deep, in our namespace
    std::vector<std::string> alternative_names;    ///< of those netdevs
    std::vector<std::string> block_devices;        ///< disks below it, e.g. "nvme0n1"
    std::optional<host_address> physical_function; ///< of a VF
    std::vector<host_address> virtual_functions;   ///< of a PF, those that exist
    std::vector<host_address> upstream;            ///< the bridges above it, the root port first
    bool console_display = false;                  ///< the firmware's display adapter
    bool has_driver_override = true;               ///< the kernel can bind it alone (Linux 3.16)

    /// As VFIO decides it, which takes functions of header type 0 alone. The class says less: an
    /// NVSwitch and a non-transparent bridge are of class 06 and can be assigned.
    bool is_bridge() const { return is_bridge_type; }
    bool is_display() const { return class_code >> 16 == 0x03; }
};

/// How a function interrupts, and how it can be reset, from its configuration space.
struct function_abilities {
    bool msi = false;
    bool msix = false;
    bool express = false;                       ///< PCI Express; else conventional PCI
    int interrupt_pin = 0;                      ///< 1..4 = INTA..INTD, 0: no INTx
    int interrupt_line = 0;                     ///< the kernel's number for its INTx
    std::vector<std::string> interrupt_sharers; ///< others on that line, e.g. "0000:00:1f.2 (ahci)"
    std::string reset_methods;                  ///< e.g. "flr bus"; empty: none or not known
    bool configuration_readable = false;
    /// All of its configuration space that could be read is ones. A virtual function's first four
    /// bytes always are.
    bool dead = false;

    /// Its interrupts cannot be told from another device's: it has no MSI and shares its line.
    bool shares_interrupt() const {
        return !msi && interrupt_pin != 0 && !interrupt_sharers.empty();
    }
};

/// A monitor that a QEMU process offers: its command line says so, and the process has the
/// listening socket.
struct qemu_monitor {
    enum class protocol { qmp, hmp };
    protocol speaks = protocol::qmp;
    std::string address;      ///< "qmp:/run/web.qmp", "hmp:PATH", "tcp:HOST:PORT", "qmp:@abstract"
    std::string unusable;     ///< why it must not, or cannot, be connected to; empty: it can
    std::int32_t held_by = 0; ///< pid of the client that is connected, 0 when there is none
    std::string holder;       ///< its command line, cut
    std::uint32_t listener = 0; ///< inode number of its listening socket, 0 when it is not known
};

/// A running QEMU, as its process shows it. Everything in it is untrusted text.
struct qemu_process {
    process_identity identity;
    std::uint32_t uid = 0;
    std::string name;    ///< -name guest=..., empty when it has none
    std::string program; ///< path of the executable
    std::string machine; ///< -machine, as it was given
    std::vector<qemu_monitor> monitors;
    std::string waits_for; ///< the socket at which it waits, before it starts, for its manager
    std::vector<host_address> hosts;      ///< host= of its command line
    bool may_lock_memory = false;         ///< CAP_IPC_LOCK: no limit applies
    std::uint64_t memlock_soft_bytes = 0; ///< ~0: unlimited
    std::uint64_t size_bytes = 0;         ///< of its address space; 0: not known
    std::uint64_t host_memory_bytes = 0;  ///< MemTotal of this host; 0: not known
};

/// A process that has a VFIO group open.
struct group_user {
    std::int32_t pid = 0;
    std::string command;
};

/// What would be lost, or disturbed, if a function were taken from the host now.
struct device_use {
    enum class kind {
        needed,  ///< the host depends on it: disks, network, console, virtual functions
        open,    ///< a process has one of its nodes or files open
        unclear, ///< it could not be found out
    };
    kind is = kind::needed;
    std::string text;     ///< one sentence for a person, e.g. "nvme0n1p1 is mounted on /srv"
    std::int32_t pid = 0; ///< of the process that has it open
};

/// What the kernel says of its IOMMU, and on what grounds.
struct iommu_evidence {
    bool enabled = false;           ///< there are IOMMU groups
    std::vector<std::string> units; ///< /sys/class/iommu, e.g. "dmar0"
    bool firmware_table = false;    ///< ACPI DMAR or IVRS: the chipset has one
    bool asked_for = false;         ///< intel_iommu=on or amd_iommu=on on the kernel's command line
    std::optional<bool> interrupt_remapping;
    bool unsafe_mode = false;           ///< VFIO may give out devices without an IOMMU
    std::vector<std::string> log_lines; ///< the kernel's own words, where its log can be read
};

/// A module of the kernel.
enum class module_state { missing, available, loaded, built_in };

/// Everything that planning needs to know of the host.
struct host_facts {
    std::vector<pci_function> functions;
    iommu_evidence iommu;
    std::map<std::string, module_state> modules; ///< vfio-pci, vfio_iommu_type1, pci-stub, kvm ...
    std::vector<qemu_process> qemus;
    std::map<int, std::vector<group_user>> group_users;   ///< by IOMMU group
    std::map<host_address, std::vector<device_use>> uses; ///< of functions that are in use
    std::map<host_address, function_abilities> abilities; ///< of those that were asked for
    std::map<std::string, std::string> kernel_options; ///< "CONFIG_PCI_STUB": "m"; as far as known

    const pci_function* find(const host_address& address) const;
    std::vector<const pci_function*> group_members(int group) const;
};

/// A member of an IOMMU group and whether VFIO accepts the group with it.
struct group_verdict {
    host_address address;
    std::string driver;
    bool viable = false;
    std::string reason;
};

/// Judges each member of the function's group but itself. VFIO's rule: a header that is not of type
/// 0, no driver, a VFIO driver, pci-stub, or the kernel's port driver.
/// Source: vfio_dev_viable in drivers/vfio of Linux.
std::vector<group_verdict> judge_group(const host_facts& host, const pci_function& function);

/// The conventional PCI functions below the bridge that `function` is behind. The IOMMU sees all of
/// them as one: they can only go together.
std::vector<const pci_function*> find_bridge_mates(const host_facts& host,
                                                   const pci_function& function);

/// Why a device without MSI on a shared interrupt line cannot be assigned, for a person.
std::string describe_shared_interrupt(const function_abilities& abilities);

/// What is to be said of a display adapter.
inline constexpr const char* display_words =
    "a display adapter: legacy VGA and its BIOS need more than PCI assignment";

/// Whether a driver of that name leaves the device to user space.
bool is_assignment_driver(std::string_view driver);

/// Finds a function by what a person writes: an address, a netdev's name or alternative name, or
/// VVVV:DDDD where it is unique.
/// Errors: `device_not_found`, `device_ambiguous`, `invalid_argument`.
result<host_address> find_device(const host_facts& host, std::string_view text);

/// Finds a QEMU by name or pid. Of several of one name those of our own user win over others;
/// `uid`: only that user's are meant.
/// Errors: `vm_not_found`, `vm_ambiguous`, `vm_foreign` (only other users have one),
/// `invalid_argument` (an empty name).
result<const qemu_process*> find_vm(const host_facts& host, std::string_view text,
                                    std::optional<std::uint32_t> uid = std::nullopt);

/// "alice", or "1000" where it has no name.
std::string user_name(std::uint32_t uid);

/// "user alice (1000)", or "uid 1000" where it has no name.
std::string describe_user(std::uint32_t uid);

} // namespace vmplug
