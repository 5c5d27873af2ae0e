#include "judge/judge_view.hpp"

namespace vmplug {
namespace {

class judge {
public:
    judge(const situation& seen, const process_view& view, const host_address& device, int group)
        : view_(view), device_(format_address(device)), node_("/dev/vfio/" + std::to_string(group)),
          pid_(seen.qemu ? std::to_string(seen.qemu->identity.pid) : ""),
          qemu_("QEMU (process " + pid_ + (view.user.empty() ? "" : ", " + view.user) + ")") {}

    std::vector<finding> run() {
        if (!view_.failure.empty()) {
            unclear("QEMU's view",
                    "what " + qemu_ + " sees could not be looked at: " + view_.failure,
                    "repeat it as root");
            return std::move(findings_);
        }
        look_at_files();
        if (findings_.empty()) look_at_rights();
        look_at_control_group();
        look_at_confinement();
        if (findings_.empty())
            add("QEMU's view", verdict::ok, qemu_ + " sees the device and may open its nodes");
        return std::move(findings_);
    }

private:
    finding& add(const char* check, verdict says, std::string evidence, std::string remedy = {}) {
        finding each;
        each.check = check;
        each.says = says;
        each.code = error_code::node_unreachable;
        each.where = device_;
        each.evidence = std::move(evidence);
        each.remedy = std::move(remedy);
        findings_.push_back(std::move(each));
        return findings_.back();
    }
    void refuse(const char* check, std::string evidence, std::string remedy,
                advice advised = advice::none) {
        add(check, verdict::refused, std::move(evidence), std::move(remedy)).advised = advised;
    }
    void unclear(const char* check, std::string evidence, std::string remedy,
                 advice advised = advice::none) {
        refuse(check, std::move(evidence), std::move(remedy), advised);
        findings_.back().may_be_forced = true;
    }

    void look_at_files() {
        if (!view_.sees_device)
            return refuse("QEMU's view",
                          qemu_ + " does not see the device in its /sys (a chroot, or a container)",
                          "start QEMU where it sees the host's /sys and /dev/vfio");
        if (!view_.container_node && !view_.same_nodes)
            return refuse("QEMU's view",
                          qemu_ +
                              " has a /dev of its own, without a /dev/vfio/vfio of the kernel's",
                          "make the node in its /dev: `nsenter -t " + pid_ +
                              " -m mknod /dev/vfio/vfio c 10 196`");
        if (view_.group_node || view_.same_nodes) return;
        const auto what = view_.stale_node ? " which has another node called " + node_
                                           : " where no node appears that the kernel makes";
        refuse("QEMU's view", qemu_ + " has a /dev of its own," + what, after_bind("make"),
               advice::bind_first);
    }

    /// How a node comes to be there before the attach: the device is bound, and then this.
    std::string after_bind(const std::string& what) const {
        return "then " + what + " its " + node_ +
               (what == "make" ? " (`ls -l " + node_ + "` shows the numbers; `nsenter -t " + pid_ +
                                     " -m mknod ...`)"
                               : "") +
               ", and attach again";
    }

    void look_at_rights() {
        if (view_.may_open_container == false)
            return refuse("QEMU's rights", qemu_ + " may not open /dev/vfio/vfio",
                          "the node's mode is 0666 on a host as udev sets it up");
        if (view_.may_open_group == false)
            return refuse("QEMU's rights", qemu_ + " may not open " + node_,
                          "give it the node: `chown` or `setfacl`, and attach again");
        if (view_.may_open_group == true || view_.passes_any_mode) return;
        unclear("QEMU's rights",
                view_.group_node
                    ? "this kernel does not say whether " + qemu_ + " may open " + node_
                    : "it cannot be told whether " + qemu_ + " may open " + node_ +
                          ", which is made when the device is bound",
                after_bind("give it"), advice::bind_first_or_force);
    }

    void look_at_control_group() {
        using rule = process_view::device_rule;
        if (view_.devices == rule::denied)
            unclear(
                "device cgroup",
                "its control group " + view_.control_group + " does not list VFIO's nodes",
                "allow them in devices.allow: `c 10:196 rw`, and those of vfio in /proc/devices");
        if (view_.devices == rule::unclear)
            unclear("device cgroup",
                    "it cannot be told which nodes QEMU may open: control group " +
                        view_.control_group,
                    "whoever started the guest (libvirt, systemd) allows them: DeviceAllow=",
                    advice::force_where_done);
    }

    void look_at_confinement() {
        if (view_.confinement.empty()) return;
        unclear("confinement",
                "QEMU is confined as " + view_.confinement +
                    ": it cannot be told whether it may open VFIO's nodes",
                {}, advice::force_where_allowed);
    }

    const process_view& view_;
    std::string device_, node_, pid_, qemu_;
    std::vector<finding> findings_;
};

} // namespace

std::vector<finding> judge_view(const situation& seen, const host_address& device) {
    const auto group = group_of(seen, format_address(device));
    if (!seen.view || !group) return {};
    return judge(seen, *seen.view, device, *group).run();
}

} // namespace vmplug
